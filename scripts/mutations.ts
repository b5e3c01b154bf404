/**
 * Takes one safety step out at a time, in a copy of the tree, and expects a test to fail: a step that no test misses
 * could be lost in any refactoring. `pnpm mutations [name…]` prints what caught each; exit status 1 when one survives.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { MUTATIONS, type Mutation } from "./mutations/list.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const TEST_MS_MAX = 300_000;

const wanted = process.argv.slice(2);
const chosen = MUTATIONS.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
if (chosen.length === 0) {
  console.error(`no mutation of that name; there are:\n${MUTATIONS.map(({ name }) => `  ${name}`).join("\n")}`);
  process.exit(2);
}

const copy = mkdtempSync(path.join(tmpdir(), "millrace-mutations-"));
let survivors = 0;
try {
  copyTree();
  for (const of of new Map(chosen.map((m) => [m.test, m])).values())
    if (!passes(of)) throw new Error(`${of.test} fails without any mutation: mend that first`);
  for (const mutation of chosen) {
    const restore = apply(mutation);
    const caught = !passes(mutation);
    restore();
    if (!caught) survivors++;
    console.info(`${caught ? "caught  " : "SURVIVED"}  ${mutation.name}: ${mutation.about} [${mutation.test}]`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.info(`${chosen.length - survivors} of ${chosen.length} caught`);
process.exitCode = survivors === 0 ? 0 : 1;

/** Sources are copied; what is installed is linked, since nothing is changed there. */
function copyTree(): void {
  const isInstalled = (name: string) => name === "node_modules" || name === ".toolchain";
  const installed: string[] = [];
  cpSync(root, copy, {
    recursive: true,
    verbatimSymlinks: true,
    filter(source) {
      const name = path.basename(source);
      if (isInstalled(name)) installed.push(path.relative(root, source));
      return !isInstalled(name) && !name.startsWith(".git") && name !== ".millrace" && name !== ".turbo";
    },
  });
  for (const relative of installed) {
    if (relative !== "node_modules" && path.basename(relative) === "node_modules") linkPackages(relative);
    else symlinkSync(path.join(root, relative), path.join(copy, relative));
  }
}

/** A package's own `node_modules`: links into the workspace must lead into the copy, or it would test the original. */
function linkPackages(relative: string): void {
  cpSync(path.join(root, relative), path.join(copy, relative), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => !path.basename(source).startsWith(".vite"),
  });
}

function apply({ name, file, find, replace }: Mutation): () => void {
  const target = path.join(copy, file);
  const source = readFileSync(target, "utf8");
  if (source.split(find).length !== 2) throw new Error(`${name}: its text stands not exactly once in ${file}`);
  const put = (text: string) => {
    writeFileSync(`${target}.new`, text);
    renameSync(`${target}.new`, target);
  };
  put(source.replace(find, () => replace));
  return () => put(source);
}

function passes({ test }: Mutation): boolean {
  const [, dir, file] = /^((?:packages|services)\/[^/]+)\/(.+)$/.exec(test) ?? [];
  if (dir === undefined || file === undefined) throw new Error(`${test} is not a test of a package or a service`);
  const cwd = path.join(copy, dir);
  const run = spawnSync(path.join(cwd, "node_modules/.bin/vitest"), ["run", file, "--testTimeout=60000", "--bail=1"], {
    cwd,
    timeout: TEST_MS_MAX,
    stdio: process.env.MUTATIONS_VERBOSE ? "inherit" : "ignore",
  });
  if (run.error && (run.error as NodeJS.ErrnoException).code !== "ETIMEDOUT") throw run.error;
  return run.status === 0;
}
