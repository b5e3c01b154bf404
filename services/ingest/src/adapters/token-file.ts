import { createHash, timingSafeEqual } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { TokensFile } from "@millrace/contracts";
import { ConfigError, type Logger } from "@millrace/kit";
import { Compile } from "typebox/compile";
import type { Caller } from "../domain/grants.ts";
import type { Tokens } from "../domain/ports.ts";

const LOOK_MS = 1_000;
const validator = Compile(TokensFile);

type Held = { digest: Buffer; caller: Caller };

/**
 * The tokens of a file, read again when it changes (looked at every second: mounted secrets are swapped by renaming,
 * which file watchers miss). A changed file that cannot be used leaves the tokens as they are, and says so.
 * @throws ConfigError when the file cannot be used at the start.
 */
export async function openTokenFile(file: string, log: Logger, look_ms = LOOK_MS): Promise<Tokens & Disposable> {
  let seen = await fingerprint(file);
  let held = await read(file);
  let looking = false;

  const look = async () => {
    const now = await fingerprint(file);
    if (now === seen) return;
    seen = now;
    held = await read(file);
    log.info({ tokens: held.size }, "tokens were read again");
  };
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    look()
      .catch((err: unknown) => log.error({ err }, "the tokens file cannot be used; the tokens stay as they are"))
      .finally(() => {
        looking = false;
      });
  }, look_ms);
  timer.unref();

  return {
    find(token) {
      // Looked up by digest, which a caller cannot steer towards another's; then compared in constant time.
      const digest = createHash("sha256").update(token).digest();
      const entry = held.get(digest.toString("hex"));
      return entry !== undefined && timingSafeEqual(entry.digest, digest) ? entry.caller : undefined;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

async function read(file: string): Promise<ReadonlyMap<string, Held>> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, "utf8"));
  } catch (cause) {
    throw new ConfigError([`TOKENS_FILE: ${file} cannot be read: ${(cause as Error).message}`]);
  }
  if (!validator.Check(value)) {
    const mistakes = validator.Errors(value).map((error) => `${error.instancePath || "/"} ${error.message}`);
    throw new ConfigError([`TOKENS_FILE: ${file}: ${mistakes.slice(0, 5).join("; ")}`]);
  }
  return new Map(
    value.map(({ sha256, principal, grants }) => [
      sha256,
      { digest: Buffer.from(sha256, "hex"), caller: { principal, grants } },
    ]),
  );
}

async function fingerprint(file: string): Promise<string> {
  const { mtimeMs, size, ino } = await stat(file).catch(() => ({ mtimeMs: 0, size: 0, ino: 0 }));
  return `${mtimeMs}:${size}:${ino}`;
}
