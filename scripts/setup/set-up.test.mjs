import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { buildDirectory, digestOf, placeLink, readJson, writeJson } from "./files.mjs";
import { isAlive, withLock } from "./lock.mjs";
import { isRecent } from "./nats-server.mjs";
import { inRoot } from "./paths.mjs";
import { describe, whyUnsupported } from "./prerequisites.mjs";
import { workspaceGlobs } from "./workspace.mjs";

const scratch = (t) => {
  const directory = fs.mkdtempSync(path.join(tmpdir(), "millrace-setup-"));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
};
const json = (...file) => JSON.parse(fs.readFileSync(inRoot(...file), "utf8"));

test("Node and pnpm are pinned to one version everywhere", () => {
  const pins = json("scripts/toolchain/package.json").optionalDependencies;
  const node = fs.readFileSync(inRoot(".node-version"), "utf8").trim();
  const pnpm = json("package.json").packageManager;
  for (const platform of ["linux-x64", "linux-arm64"]) {
    assert.equal(pins[`node-${platform}`], node);
    assert.equal(`pnpm@${pins[`@pnpm/exe.${platform}`]}`, pnpm);
  }
});

test("the toolchain's lockfile has an integrity for each package and names no registry", () => {
  const lock = json("scripts/toolchain/package-lock.json");
  const entries = Object.entries(lock.packages).filter(([name]) => name !== "");
  assert.equal(entries.length, 4);
  for (const [name, entry] of entries) {
    assert.match(entry.integrity, /^sha512-/, name);
    assert.equal(entry.resolved, undefined, name);
  }
});

test("the packages list of the workspace file is read without a YAML parser", () => {
  const yaml = 'packages:\n  - packages/*\n  - "models"\n\n  # a comment\n  - e2e # why\ncatalog:\n  - not-this\n';
  assert.deepEqual(workspaceGlobs(yaml), ["packages/*", "models", "e2e"]);
  assert.deepEqual(workspaceGlobs("catalog:\n"), []);
});

test("nats-server is recent enough from 2.15.1 on", () => {
  const table = {
    "2.15.1": true,
    "2.15.1-RC.1": true,
    "2.16.0": true,
    "3.0.0": true,
    "2.15.0": false,
    "2.12.9": false,
    "2.9.25": false,
  };
  for (const [version, expected] of Object.entries(table)) assert.equal(isRecent(version), expected, version);
});

test("an unsupported machine is told why", () => {
  const good = { platform: "linux-arm64", node: "20.0.0", glibc: "2.36" };
  assert.equal(whyUnsupported(good), undefined);
  assert.match(whyUnsupported({ ...good, platform: "darwin-arm64" }), /not supported/);
  assert.match(whyUnsupported({ ...good, node: "18.19.0" }), /too old/);
  assert.match(whyUnsupported({ ...good, glibc: undefined }), /musl/);
});

test("a missing tool is named with how to install it on three families of Linux", () => {
  const text = describe({ name: "a thing", why: "reasons", install: { debian: "a", fedora: "b", alpine: "c" } });
  for (const part of ["apt-get install a", "dnf install b", "apk add c", "a thing", "reasons"])
    assert.ok(text.includes(part), part);
});

test("a directory is built beside its place and appears complete or not at all", async (t) => {
  const target = path.join(scratch(t), "built");
  await assert.rejects(
    buildDirectory(target, async (draft) => {
      fs.writeFileSync(path.join(draft, "half"), "");
      throw new Error("interrupted");
    }),
  );
  assert.equal(fs.existsSync(target), false);
  await buildDirectory(target, async (draft) => fs.writeFileSync(path.join(draft, "whole"), ""));
  assert.deepEqual(fs.readdirSync(target), ["whole"]);
  assert.deepEqual(fs.readdirSync(path.dirname(target)), ["built"]);
});

test("a stamp that was cut short reads as absent, and a link is replaced in one step", (t) => {
  const directory = scratch(t);
  const stamp = path.join(directory, "stamp.json");
  writeJson(stamp, { a: 1 });
  assert.deepEqual(readJson(stamp), { a: 1 });
  fs.writeFileSync(stamp, '{"a":');
  assert.equal(readJson(stamp), undefined);
  const link = path.join(directory, "link");
  placeLink("one", link);
  placeLink("two", link);
  assert.equal(fs.readlinkSync(link), "two");
});

test("a digest changes with the contents and with a file's absence", (t) => {
  const file = path.join(scratch(t), "file");
  const absent = digestOf([file]);
  fs.writeFileSync(file, "a");
  const a = digestOf([file]);
  fs.writeFileSync(file, "b");
  assert.equal(new Set([absent, a, digestOf([file])]).size, 3);
});

test("two holders of one lock take turns", async (t) => {
  const lock = path.join(scratch(t), "lock");
  const seen = [];
  const hold = (name) =>
    withLock(lock, async () => {
      seen.push(`${name} in`);
      await new Promise((resolve) => setTimeout(resolve, 20));
      seen.push(`${name} out`);
    });
  await Promise.all([hold("a"), hold("b")]);
  assert.deepEqual(seen, ["a in", "a out", "b in", "b out"]);
  assert.equal(fs.existsSync(lock), false);
});

test("the lock of a process that was killed is taken over", async (t) => {
  const lock = path.join(scratch(t), "lock");
  const module = JSON.stringify(new URL("lock.mjs", import.meta.url).href);
  const source = `import(${module}).then((m) => m.withLock(${JSON.stringify(lock)}, () => { console.log("held"); return new Promise((r) => setTimeout(r, 60000)); }))`;
  const holder = spawn(process.execPath, ["-e", source], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => holder.kill("SIGKILL"));
  await once(holder.stdout, "data");
  const named = readJson(lock);
  assert.ok(isAlive(named));
  assert.equal(isAlive({ ...named, started: "1" }), false, "a process that reused the number is another one");
  let waitedFor;
  setTimeout(() => holder.kill("SIGKILL"), 50);
  const result = await withLock(lock, async () => "taken over", { onWait: (pid) => (waitedFor = pid) });
  assert.equal(result, "taken over");
  assert.equal(waitedFor, holder.pid);
});
