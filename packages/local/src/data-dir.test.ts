import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openDataDir } from "./data-dir.ts";
import { readWarning } from "./log-watch.ts";
import { gatherModels } from "./models-dir.ts";
import { natsConfig } from "./nats-config.ts";
import { parseOptions } from "./options.ts";
import { identify } from "./processes/process-identity.ts";
import { readSecrets } from "./secrets.ts";

function scratch(): string {
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-data-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test("a data directory belongs to one runner at a time, and is free again afterwards", async () => {
  const directory = scratch();
  const first = await openDataDir(directory);
  await expect(openDataDir(directory)).rejects.toThrow(/another Millrace runs on/);
  await first[Symbol.asyncDispose]();
  await using second = await openDataDir(directory);
  expect(second.path).toBe(first.path);
});

test("a process that an earlier runner left behind is ended; another one that got its number is not", async () => {
  const directory = scratch();
  const sleeper = () => {
    const child = spawn("/bin/sleep", ["64"], { detached: true, stdio: "ignore" });
    onTestFinished(() => void child.kill("SIGKILL"));
    return child;
  };
  const [left, other] = [sleeper(), sleeper()];
  const record = [identify(left.pid!), { pid: other.pid, started: "1" }];
  writeFileSync(path.join(directory, "processes.json"), JSON.stringify(record));
  const ended = once(left, "exit");
  await using _dataDir = await openDataDir(directory);
  expect((await ended)[1]).toBe("SIGKILL");
  expect(identify(other.pid!)).toBeDefined();
});

test("secrets are made once, differ, and are private", () => {
  const directory = path.join(scratch(), "secrets");
  const first = readSecrets(directory, ["a", "b"]);
  expect(first.a).toMatch(/^[A-Za-z0-9_-]{32}$/);
  expect(first.a).not.toBe(first.b);
  expect(readSecrets(directory, ["a", "b"])).toEqual(first);
  expect(statSync(path.join(directory, "a")).mode & 0o777).toBe(0o600);
});

test("models are gathered by name from folders and directories of folders; a name twice is refused", () => {
  const directory = scratch();
  const model = (folder: string, name: string) => {
    mkdirSync(path.join(directory, folder), { recursive: true });
    writeFileSync(path.join(directory, folder, "manifest.json"), JSON.stringify({ name }));
    return path.join(directory, folder);
  };
  model("many/one", "first");
  mkdirSync(path.join(directory, "many/not-a-model"));
  const single = model("elsewhere", "second");
  const target = path.join(directory, "gathered");
  expect(gatherModels([path.join(directory, "many"), single], target)).toEqual(["first", "second"]);
  expect(() => gatherModels([path.join(directory, "many"), model("again", "first")], target)).toThrow(/both hold/);
  expect(() => gatherModels([path.join(directory, "nowhere")], target)).toThrow(/no model folder/);
});

test("the broker's configuration denies by default and keeps a password from being read as syntax", () => {
  const config = natsConfig({
    name: "one",
    port: 1,
    storeDir: '/with space/and "quotes"',
    users: {
      speaker: { publish: ["a.>"], subscribe: [] },
      answerer: { publish: [], subscribe: ["ask.>"], allowResponses: true },
    },
    passwordOf: (user) => `$${user}`,
  });
  const { accounts, jetstream } = JSON.parse(config);
  const [speaker, answerer] = accounts.MILLRACE.users;
  expect(speaker.permissions).toEqual({ publish: { allow: ["a.>"] }, subscribe: { deny: [">"] } });
  expect(answerer.permissions.publish).toEqual({ deny: [">"] });
  expect(answerer.permissions.allow_responses.max).toBe(1);
  expect(jetstream.sync_interval).toBe("always");
});

test("options are read, with mistakes named", () => {
  expect(parseOptions(["--help"], "/")).toBe("help");
  expect(parseOptions([], "/here")).toMatchObject({ dataDir: "/here/.millrace", demo: true, ports: { http: 8080 } });
  expect(parseOptions(["--no-demo", "--data", "x", "--http-port", "0"], "/here")).toMatchObject({
    dataDir: "/here/x",
    demo: false,
    ports: { http: 0 },
  });
  expect(() => parseOptions(["--nats-port", "many"], "/")).toThrow(/--nats-port takes a number/);
  expect(() => parseOptions(["--nonsense"], "/")).toThrow(/nonsense/);
});

test("warnings are found in JSON logs and in nats-server's own, everything else is passed over", () => {
  const line = (level: string) => JSON.stringify({ level, msg: "slow", err: { message: "why\nstack" } });
  expect(readWarning(line("warn"))).toEqual({ level: "warn", text: "slow: why" });
  expect(readWarning(line("info"))).toBeUndefined();
  expect(readWarning("[12] 2026/11/21 12:00:00.0 [ERR] no space")).toEqual({ level: "error", text: "no space" });
  expect(readWarning('{"level":"warn", cut')).toBeUndefined();
});
