// Where the set-up reads from and writes to. `.toolchain/` belongs to one clone; the cache is shared by
// all clones of a user, so that the second one downloads and compiles nothing.
import { homedir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const inRoot = (...parts) => path.join(root, ...parts);

export const toolchain = inRoot(".toolchain");
export const inToolchain = (...parts) => path.join(toolchain, ...parts);

/** The directory that holds the links `node`, `pnpm` and `nats-server`; first on PATH for every command. */
export const bin = inToolchain("bin");

export const cache = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), ".cache"), "millrace");
export const inCache = (...parts) => path.join(cache, ...parts);

/** `linux-x64`, `linux-arm64`, …: the key of every table of pinned downloads. */
export const platform = `${process.platform}-${process.arch}`;
