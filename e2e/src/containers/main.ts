import { randomInt } from "node:crypto";
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { basesOf } from "@millrace/images/dockerfile";
import { findBinary } from "@millrace/local";
import { runCommand, wholeNumber } from "../command-line.ts";
import { haveBaseImages } from "./base-images.ts";
import { command } from "./command.ts";
import { dockerPlugins } from "./docker-plugins.ts";
import { type Engine, findEngine, startEngine } from "./engine.ts";
import { play } from "./scenario.ts";
import { openStack } from "./stack.ts";

const HELP = `pnpm test:containers [options]     Builds every image, and plays docker-compose.yml on a real engine.

Up, the four ends, each service crashed under load, three workers, an upgrade in place, down and up again; the books at the end.

  --rounds N       how often each service is crashed (1)
  --rate R         requests each second (20)
  --seed S         order and times of the crashes (random, and printed)
  --own-engine     where no engine answers, start one (dockerd, as root) and end it again
  --stand-ins      make base images of this machine's own parts where they cannot be pulled (root, Debian, debootstrap)
  --keep           leave everything running

Without an engine it says so and tests nothing. Progress goes to standard error, the report as JSON to standard output.`;

const root = path.resolve(import.meta.dirname, "../../..");
const cache = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), ".cache"), "millrace");
const PROJECT = "millrace-test";
const NEXT = "next";
const MB = 1_000_000;

process.exitCode = await runCommand(HELP, parse, main);

async function main(options: Options): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const engine = await openEngine(options.ownEngine);
  if (engine === undefined) {
    console.error("Skipped: no container engine answers. Nothing was tested; start one, or give --own-engine.");
    return 0;
  }
  stack.use(engine);
  try {
    console.log(JSON.stringify(await test(engine, options), null, 2));
    return 0;
  } catch (error) {
    console.error(`\n${(error as Error).message}`);
    return 1;
  }
}

async function openEngine(own: boolean): Promise<Engine | undefined> {
  return (await findEngine()) ?? (own ? await startEngine(path.join(cache, "engine")) : undefined);
}

type Options = Exclude<ReturnType<typeof parse>, "help">;

async function test(engine: Engine, { rounds, rate, seed, standIns, keep }: Options) {
  const began = performance.now();
  const tell = (line: string) =>
    console.error(`${((performance.now() - began) / 1_000).toFixed(1).padStart(7)} s  ${line}`);
  tell(`engine ${engine.version}, ${engine.own ? "our own" : "this machine's"}; seed ${seed}`);
  mkdirSync(path.join(root, ".toolchain"), { recursive: true });
  const logFile = path.join(root, ".toolchain/test-containers.log");
  const sources = path.join(root, "scripts/toolchain/docker-plugins");
  const env = { ...engine.env, ...(await dockerPlugins(sources, path.join(cache, "docker"), tell)) };

  const natsServer = findBinary("nats-server");
  const place = { directory: path.join(cache, "stand-ins"), node: process.execPath, natsServer };
  mkdirSync(place.directory, { recursive: true });
  const stack = await openStack({ project: PROJECT, root, env, logFile });
  const images = (await stack.compose(["config", "--images"])).split("\n").filter(Boolean);
  const foreign = [...new Set(images.filter((image) => !image.startsWith("millrace/")))];
  const bases = basesOf(path.join(root, "Dockerfile"));
  const from = await haveBaseImages([...bases, ...foreign], env, standIns ? place : undefined);
  tell(
    `base images: ${Object.entries(from)
      .map(([image, how]) => `${image} (${how})`)
      .join(", ")}`,
  );

  const everything = ["--profile", "tools", "build"];
  const built_ms = await timed(() => stack.compose(everything));
  tell(`every image is built after ${(built_ms / 1_000).toFixed(1)} s; details in ${path.relative(root, logFile)}`);
  await stack.compose([...everything, "--build-arg", `VERSION=${NEXT}`], { version: NEXT });
  const sizes = await sizesOf([...new Set(images.filter((image) => image.startsWith("millrace/")))], bases, env);
  for (const [image, { mb, above_base_mb }] of Object.entries(sizes))
    tell(`${image.padEnd(28)} ${mb} MB, ${above_base_mb} MB above its base`);

  await stack.compose(["down", "--volumes", "--remove-orphans"]); // of a run that was killed
  try {
    return { built_ms, sizes, ...(await play({ stack, seed, rounds, rate, tell })) };
  } catch (cause) {
    await stack.compose(["logs", "--no-color", "--tail", "200"]).catch(() => {}); // into the log file
    throw cause;
  } finally {
    if (!keep) await stack.compose(["down", "--volumes", "--remove-orphans"]);
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return Math.round(performance.now() - began);
}

async function sizesOf(images: readonly string[], bases: readonly string[], env: Readonly<Record<string, string>>) {
  const bytes = async (image: string) =>
    Number(await command("docker", ["image", "inspect", "--format", "{{.Size}}", image], { env }));
  const base = await bytes(bases[0]!);
  const sizes: Record<string, { mb: number; above_base_mb: number }> = {};
  for (const image of images) {
    const size = await bytes(image);
    sizes[image] = { mb: Math.round(size / MB), above_base_mb: Math.round((size - base) / MB) };
  }
  return sizes;
}

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: "string", default: "1" },
      rate: { type: "string", default: "20" },
      seed: { type: "string" },
      "own-engine": { type: "boolean", default: false },
      "stand-ins": { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  return {
    rounds: wholeNumber("--rounds", values.rounds),
    rate: wholeNumber("--rate", values.rate),
    seed: values.seed === undefined ? randomInt(2 ** 31) : wholeNumber("--seed", values.seed),
    ownEngine: values["own-engine"],
    standIns: values["stand-ins"],
    keep: values.keep,
  };
}
