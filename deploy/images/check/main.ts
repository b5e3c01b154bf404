/**
 * pnpm deploy:images [VERSION]: looks into our built images by our own rules, and says how large they are and what is in them.
 * It ends non-zero when an image is missing or keeps a rule not, and when an image that breaks the rules is not found out.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { basesOf } from "./dockerfile.ts";
import { docker, readImage } from "./engine.ts";
import { type Image, mistakesIn, SBOM } from "./rules.ts";

const ROOT = path.resolve(import.meta.dirname, "../../..");
const APPS = ["ingest", "inference", "notifier", "audit", "bridge", "keeper", "servicebus", "local", "cli"];
const MB = 1_000_000;
const [version = "dev"] = process.argv.slice(2);

try {
  process.exitCode = check();
} catch (error) {
  console.error(`${(error as Error).message}\nBuild them first: docker compose --profile tools build`);
  process.exitCode = 1;
}

function check(): number {
  const [base] = basesOf(path.join(ROOT, "Dockerfile")) as [string];
  let mistakes = 0;
  for (const app of APPS) {
    const image = readImage(`millrace/${app}:${version}`, base);
    const found = mistakesIn(image);
    const above = (image.bytesAboveBase / MB).toFixed(1);
    console.log(`${image.name.padEnd(28)} ${above.padStart(6)} MB above ${base}, ${components(image)} components`);
    for (const mistake of found) console.error(`  ${mistake}`);
    mistakes += found.length;
  }
  const missed = foundOut(base);
  for (const rule of missed) console.error(`an image made to be wrong was not found out: ${rule}`);
  console.log(
    `${APPS.length} images, ${mistakes} mistakes; an image made to be wrong was ${missed.length ? "not " : ""}found out`,
  );
  return mistakes + missed.length === 0 ? 0 : 1;
}

function components({ files }: Image): number {
  const text = files.find((file) => file.path === SBOM)?.text ?? "{}";
  return (JSON.parse(text) as { components?: unknown[] }).components?.length ?? 0;
}

/** Builds one that breaks rules of each kind, and answers those that nobody noticed. */
function foundOut(base: string): string[] {
  const folder = mkdtempSync(path.join(tmpdir(), "millrace-bad-image-"));
  const name = "millrace/made-to-be-wrong:test";
  try {
    writeFileSync(path.join(folder, ".env"), "NATS_PASSWORD=hunter2\n");
    const steps = [
      `FROM millrace/keeper:${version}`,
      "USER root",
      "COPY .env /app/.env",
      "RUN rm /app/.env && cp /usr/local/bin/node /app/tool && chmod 4755 /app/tool",
      "ENV API_TOKEN=abc",
      "ENTRYPOINT node main.js",
    ];
    writeFileSync(path.join(folder, "Dockerfile"), `${steps.join("\n")}\n`);
    docker("build", "--quiet", "--tag", name, folder);
    const said = mistakesIn(readImage(name, base)).join("\n");
    const expected = [
      /runs as "root"/,
      /app\/\.env is a file for secrets/,
      /app\/tool runs with/,
      /API_TOKEN/,
      /entry point/,
      /MB above/,
    ];
    return expected.filter((rule) => !rule.test(said)).map(String);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    docker("image", "rm", "--force", name);
  }
}
