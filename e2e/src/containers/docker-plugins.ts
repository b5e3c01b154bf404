import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { ask, command } from "./command.ts";

/** What the docker client needs besides itself: `docker compose` and the builder that Compose calls. */
const PLUGINS = {
  compose: { is: ["compose", "version"], module: "github.com/docker/compose/v2/cmd", flags: "-s -w" },
  buildx: {
    is: ["buildx", "version"],
    module: "github.com/docker/buildx/cmd/buildx",
    flags: "-s -w -X github.com/docker/buildx/version.Version=v0.29.1", // Compose asks for it, and wants 0.17
  },
} as const;

const BUILD_MS = 15 * 60_000;

/**
 * Sees to it that the plugins are there: those that are installed, else built from the Go module proxy by pinned sums into
 * `cache`, which takes some minutes the first time.
 * @param sources folder with one Go module for each plugin
 * @returns what the docker client needs in its environment to find them
 * @throws when one is missing and there is no Go
 */
export async function dockerPlugins(
  sources: string,
  cache: string,
  tell: (line: string) => void,
): Promise<Record<string, string>> {
  const missing = [];
  for (const [name, plugin] of Object.entries(PLUGINS)) {
    if ((await ask("docker", plugin.is)) === undefined) missing.push({ name, ...plugin });
  }
  if (missing.length === 0) return {};
  if ((await ask("go", ["version"])) === undefined)
    throw new Error(
      `docker has no ${missing.map(({ name }) => name).join(" and no ")}: install the plugin, or Go to build it`,
    );
  const folder = path.join(cache, "cli-plugins");
  mkdirSync(folder, { recursive: true });
  for (const { name, module, flags } of missing) {
    const built = path.join(folder, `docker-${name}`);
    if (existsSync(built)) continue;
    tell(`building docker ${name} (minutes, once)`);
    await command("go", ["build", "-mod=readonly", "-trimpath", `-ldflags=${flags}`, "-o", built, module], {
      cwd: path.join(sources, name),
      env: { CGO_ENABLED: "0" },
      timeout_ms: BUILD_MS,
    });
  }
  // The client looks for plugins in one folder of a user; those that are installed there stay in use.
  const theirs = path.join(process.env.DOCKER_CONFIG || path.join(homedir(), ".docker"), "cli-plugins");
  writeFileSync(path.join(cache, "config.json"), `${JSON.stringify({ cliPluginsExtraDirs: [theirs] })}\n`);
  return { DOCKER_CONFIG: cache };
}
