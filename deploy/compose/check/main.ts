/**
 * pnpm deploy:compose: asks `docker compose config` about every profile and every file that replaces a part. It needs the
 * command, and no engine. A warning is a mistake.
 */
import { spawnSync } from "node:child_process";
import { composeFiles, ROOT } from "./compose-files.ts";
import { mistakesIn } from "./rules.ts";

/** What has no default, so that nobody's own is needed to check. */
const GIVEN = { ACCEPT_EULA: "N", MSSQL_SA_PASSWORD: "not-a-secret", SERVICEBUS_NAMESPACE: "contoso" };

const [main, ...replacing] = composeFiles();
const profiles = new Set(Object.values(main!.services).flatMap(({ profiles = [] }) => profiles as string[]));
const variants: string[][] = [
  [],
  ...[...profiles].sort().map((profile) => ["--profile", profile]),
  ...replacing.map(({ name }) => ["-f", main!.name, "-f", name, "--profile", "tools"]),
];

let failed = false;
for (const mistake of [main!, ...replacing].flatMap(mistakesIn)) fail(mistake);
for (const variant of variants) {
  // Beside nobody's .env: what is checked is what stands in the repository.
  const args = ["compose", "--env-file", "/dev/null", ...variant, "config", "--quiet"];
  const { status, stderr, error } = spawnSync("docker", args, {
    cwd: ROOT,
    encoding: "utf8",
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...GIVEN },
    timeout: 60_000,
  });
  const shown = ["docker compose", ...variant].join(" ");
  if (error) fail(`docker could not be called: ${error.message}. Install Docker with Compose 2.24 or newer.`);
  else if (status !== 0 || stderr.trim() !== "") fail(`${shown}: ${stderr.trim() || `ended with ${status}`}`);
  else console.log(`${shown}: clean`);
  if (error) break;
}
if (failed) process.exitCode = 1;

function fail(text: string): void {
  failed = true;
  console.error(text);
}
