import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { command } from "./command.ts";

/** What stand-ins are made of: a folder to work in, and the pinned programs of this clone. */
export type StandInPlace = { directory: string; node: string; natsServer: string };

const MINUTES_MS = 60_000;
/** The one that the Node release brings along. */
const NPM = "11.6.0";
const MACHINES_TRUST = "/etc/ssl/certs/ca-certificates.crt";
/** A place of its own: Debian's package of certificates writes its usual one anew when a build installs it. */
const TRUST = "/usr/local/share/trust/machine.pem";

/**
 * Makes an image under the name of one that cannot be pulled: of Debian by debootstrap and the programs that the set-up
 * has already. It has what the real one is used for here, so that the Dockerfile and the Compose file run unchanged; it
 * trusts whom this machine trusts, because builds reach the package registries through it.
 * @throws when nothing can stand in for it, or a tool is missing
 */
export async function makeStandIn(
  image: string,
  place: StandInPlace,
  { env, label }: { env: Readonly<Record<string, string>>; label: string },
): Promise<void> {
  const [name, tag = ""] = image.split(":");
  const make = MAKERS[name!];
  if (make === undefined)
    throw new Error(`there is no stand-in for ${image}, only for ${Object.keys(MAKERS).join(", ")}`);
  const root = path.join(place.directory, image.replaceAll(/[^\w.-]/g, "_"));
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  const changes = await make(root, place, tag);
  const archive = `${root}.tar`;
  await command("tar", ["-C", root, "-cf", archive, "."], { timeout_ms: 5 * MINUTES_MS });
  const options = [...changes, `LABEL ${label}`].flatMap((change) => ["--change", change]);
  await command("docker", ["import", ...options, archive, image], { env, timeout_ms: 5 * MINUTES_MS });
  rmSync(root, { recursive: true });
  rmSync(archive);
}

type Maker = (root: string, place: StandInPlace, tag: string) => Promise<string[]>;

const MAKERS: Readonly<Record<string, Maker>> = {
  /** Debian, Node with npm, and the user `node`. */
  async node(root, { node, directory }, tag) {
    const suite = /bookworm|trixie/.exec(tag)?.[0] ?? "bookworm";
    await command("debootstrap", ["--variant=minbase", suite, root], { timeout_ms: 10 * MINUTES_MS });
    for (const used of ["var/cache/apt", "var/lib/apt/lists"])
      rmSync(path.join(root, used), { recursive: true, force: true });
    for (const needed of ["var/cache/apt/archives/partial", "var/lib/apt/lists/partial"])
      mkdirSync(path.join(root, needed), { recursive: true });
    putProgram(node, path.join(root, "usr/local/bin/node"));
    const packed = await command("npm", ["pack", "--silent", `npm@${NPM}`], { cwd: directory, timeout_ms: MINUTES_MS });
    const modules = path.join(root, "usr/local/lib/node_modules");
    mkdirSync(modules, { recursive: true });
    await command("tar", ["-C", modules, "-xzf", path.join(directory, packed.trim())]);
    cpSync(path.join(modules, "package"), path.join(modules, "npm"), { recursive: true });
    rmSync(path.join(modules, "package"), { recursive: true });
    for (const cli of ["npm", "npx"])
      symlinkSync(`../lib/node_modules/npm/bin/${cli}-cli.js`, path.join(root, "usr/local/bin", cli));
    await command("chroot", [root, "useradd", "--uid", "1000", "--create-home", "node"]);
    mkdirSync(path.join(root, path.dirname(TRUST)), { recursive: true });
    if (existsSync(MACHINES_TRUST)) copyFileSync(MACHINES_TRUST, path.join(root, TRUST));
    return [`ENV NODE_EXTRA_CA_CERTS=${TRUST} PIP_CERT=${TRUST}`, 'CMD ["node"]'];
  },
  /** The server, and a BusyBox for the health check, as in the Alpine image. */
  async nats(root, { natsServer }) {
    putProgram(natsServer, path.join(root, "usr/local/bin/nats-server"));
    putProgram("/bin/busybox", path.join(root, "bin/busybox"));
    for (const applet of ["sh", "wget"]) symlinkSync("busybox", path.join(root, "bin", applet));
    mkdirSync(path.join(root, "tmp"));
    return ["ENV PATH=/usr/local/bin:/bin", 'ENTRYPOINT ["nats-server"]'];
  },
};

/** @throws when the program is not there */
function putProgram(from: string, to: string): void {
  if (!existsSync(from)) throw new Error(`a stand-in needs ${from} (Debian: busybox-static, debootstrap)`);
  mkdirSync(path.dirname(to), { recursive: true });
  copyFileSync(realpathSync(from), to);
  chmodSync(to, 0o755);
}
