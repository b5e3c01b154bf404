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
