import { spawnSync } from "node:child_process";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Image, ImageFile } from "./rules.ts";

const TEXT_BYTES_MAX = 8 * 1024 * 1024;
const TIMEOUT_MS = 300_000;

/** @throws when docker cannot be called or refuses; the message is its own */
export function docker(...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync("docker", args, {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    timeout: TIMEOUT_MS,
  });
  if (error) throw new Error(`docker could not be called: ${error.message}`);
  if (status !== 0) throw new Error(`docker ${args.slice(0, 2).join(" ")}: ${stderr.trim() || `ended with ${status}`}`);
  return stdout;
}

/** Reads an image off the engine, with every file of the layers that it has and its base has not. */
export function readImage(name: string, base: string): Image {
  const [{ Config, Size, RootFS }, { Size: baseSize, RootFS: baseFS }] = [name, base].map(
    (image) => JSON.parse(docker("image", "inspect", image))[0],
  ) as [Inspected, Inspected];
  return {
    name,
    bytesAboveBase: Size - baseSize,
    user: Config.User,
    entrypoint: Config.Entrypoint ?? [],
    healthcheck: Config.Healthcheck?.Test ?? [],
    env: Config.Env ?? [],
    labels: Config.Labels ?? {},
    history: docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", name).split("\n"),
    files: ownFiles(name, RootFS.Layers.length - baseFS.Layers.length),
  };
}

type Inspected = {
  Size: number;
  RootFS: { Layers: string[] };
  Config: {
    User: string;
    Entrypoint?: string[];
    Healthcheck?: { Test: string[] };
    Env?: string[];
    Labels?: Record<string, string>;
  };
};

/** The last layers of an image, each by itself: a file that a later one removes is still in it. */
function ownFiles(name: string, layers: number): ImageFile[] {
  const folder = mkdtempSync(path.join(tmpdir(), "millrace-image-"));
  try {
    docker("save", "--output", path.join(folder, "image.tar"), name);
    untar(path.join(folder, "image.tar"), path.join(folder, "image"));
    const [{ Layers }] = JSON.parse(readFileSync(path.join(folder, "image/manifest.json"), "utf8")) as [
      { Layers: string[] },
    ];
    return Layers.slice(Layers.length - layers).flatMap((layer, index) => {
      const target = path.join(folder, `layer-${index}`);
      untar(path.join(folder, "image", layer), target);
      return filesUnder(target);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function untar(archive: string, target: string): void {
  mkdirSync(target);
  const args = ["--no-same-owner", "--same-permissions", "-C", target, "-xf", archive];
  const { status, stderr } = spawnSync("tar", args, { encoding: "utf8", timeout: TIMEOUT_MS });
  if (status !== 0) throw new Error(`tar: ${stderr.trim()}`);
}

function filesUnder(folder: string): ImageFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => {
      const { mode, size } = lstatSync(file);
      const found = { path: path.relative(folder, file), mode: mode & 0o7777 };
      if (size > TEXT_BYTES_MAX) return found;
      const bytes = readFileSync(file);
      return bytes.subarray(0, 1024).includes(0) ? found : { ...found, text: bytes.toString("utf8") };
    });
}
