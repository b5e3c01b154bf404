import { readFileSync } from "node:fs";
import { ask, command } from "./command.ts";
import { makeStandIn, type StandInPlace } from "./stand-ins.ts";

/** Where a base image came from: it was there, its registry gave it, or we made one that stands in for it. */
export type BaseImages = Readonly<Record<string, "there" | "pulled" | "stand-in">>;

/**
 * Sees to it that the images are on the engine that nobody builds here.
 * @param standIns where to make those that cannot be pulled; undefined when none may be made
 * @throws when one cannot be had
 */
export async function haveBaseImages(
  images: readonly string[],
  env: Readonly<Record<string, string>>,
  standIns: StandInPlace | undefined,
): Promise<BaseImages> {
  const from: Record<string, BaseImages[string]> = {};
  for (const image of images) from[image] = await have(image, env, standIns);
  return from;
}

async function have(image: string, env: Readonly<Record<string, string>>, standIns: StandInPlace | undefined) {
  const label = await ask("docker", ["image", "inspect", "--format", `{{index .Config.Labels "${STAND_IN}"}}`, image], {
    env,
  });
  if (label !== undefined) return label === "true" ? "stand-in" : "there";
  try {
    await command("docker", ["pull", "--quiet", image], { env, timeout_ms: PULL_MS });
    return "pulled";
  } catch (cause) {
    if (standIns === undefined)
      throw new Error(
        `${image} cannot be pulled; --stand-ins makes one of this machine's own parts\n${(cause as Error).message}`,
      );
    await makeStandIn(image, standIns, { env, label: `${STAND_IN}=true` });
    return "stand-in";
  }
}

const STAND_IN = "millrace.stand-in";
const PULL_MS = 10 * 60_000;

/** The base of every stage of a Dockerfile that is no stage itself, build arguments filled in with their defaults. */
export function basesOf(dockerfile: string): string[] {
  const text = readFileSync(dockerfile, "utf8");
  const args = new Map(
    [...text.matchAll(/^ARG\s+(\w+)=("?)(.*)\2\s*$/gim)].map(([, name, , value]) => [name!, value!]),
  );
  const fill = (text: string) => text.replaceAll(/\$\{?(\w+)\}?/g, (whole, name: string) => args.get(name) ?? whole);
  for (const [name, value] of args) args.set(name, fill(value)); // an argument may name those before it
  const stages = [...text.matchAll(/^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?/gim)];
  const names = new Set(stages.map(([, , name]) => name));
  return [...new Set(stages.map(([, image]) => fill(image!)))].filter(
    (image) => !names.has(image) && image !== "scratch",
  );
}
