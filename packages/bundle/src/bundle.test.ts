import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { bundlePackage } from "./bundle.ts";
import { readDeclaration } from "./declaration.ts";

const repository = fileURLToPath(new URL("../../../", import.meta.url));
const HEALTH = fileURLToPath(new URL("health.mjs", import.meta.url));

function temporary(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "millrace-bundle-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Bundles a package of the workspace to a place where nothing of the workspace can be found. */
async function bundled(packageDir: string): Promise<{ app: string; volumes: string }> {
  const folder = temporary();
  const places = { app: path.join(folder, "app"), volumes: path.join(folder, "volumes") };
  await bundlePackage(path.join(repository, packageDir), places);
  return places;
}

const run = (app: string, args: readonly string[], env: Record<string, string> = {}) =>
  spawnSync(process.execPath, [...args], { cwd: app, env: { PATH: "", ...env }, encoding: "utf8", timeout: 60_000 });

test("a bundle runs where there is no workspace and no package manager", async () => {
  const { app } = await bundled("packages/cli");
  const { status, stdout } = run(app, ["main.js", "--version"]);
  expect({ status, stdout }).toEqual({ status: 0, stdout: "0.1.0\n" });
  expect(existsSync(path.join(app, "node_modules"))).toBe(false);
});

test("a service without settings names every one that is missing", async () => {
  const { app } = await bundled("services/keeper");
  const { status, stdout } = run(app, ["main.js"]);
  expect(status).toBe(1);
  expect(stdout).toContain("NATS_PASSWORD");
  expect(run(app, ["provision.js"]).status).toBe(1);
});

test("a file that is read and not imported is where the code looks for it", async () => {
  const { app } = await bundled("services/ingest");
  const look = `console.log(import.meta.resolve("swagger-ui-dist/swagger-ui.css"))`;
  writeFileSync(path.join(app, "look.mjs"), look);
  const found = fileURLToPath(run(app, ["look.mjs"]).stdout.trim());
  expect(found.startsWith(app)).toBe(true);
  expect(readFileSync(found, "utf8")).toContain(".swagger-ui");
});

test("what we mend in a dependency is in the bundle", async () => {
  const { app } = await bundled("services/bridge");
  const code = readdirSync(app, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".js"))
    .map((file) => readFileSync(path.join(app, file), "utf8"))
    .join("\n");
  for (const patch of ["nats@2.29.3", "rhea@3.0.5"]) {
    const added = readFileSync(path.join(repository, `patches/${patch}.patch`), "utf8")
      .split("\n")
      .filter((line) => /^\+ .*[({;]$/.test(line))
      .map((line) => line.slice(1).replaceAll(/[\s()]+/g, ""));
    const bare = code.replaceAll(/[\s()]+/g, "");
    expect(added.length, patch).toBeGreaterThan(0);
    expect(
      added.filter((line) => bare.includes(line)),
      patch,
    ).not.toEqual([]);
  }
});

test("TensorFlow is copied with what it loads at run time, and computes", async () => {
  const { app } = await bundled("services/inference");
  cpSync(path.join(repository, "models/failure-risk"), path.join(app, "model"), { recursive: true });
  const start = `
    import { fork } from "node:child_process";
    const child = fork("runner/child.js", ["model", "wasm"], { serialization: "advanced" });
    child.once("message", (message) => { console.log(message.kind); child.kill("SIGKILL"); });`;
  writeFileSync(path.join(app, "start.mjs"), start);
  expect(run(app, ["start.mjs"]).stdout.trim()).toBe("ready");
});

test("folders for volumes are made as declared, and only those", async () => {
  const { volumes } = await bundled("packages/local");
  expect(readdirSync(volumes).sort()).toEqual(
    [...readDeclaration(path.join(repository, "packages/local")).volumes!].sort(),
  );
});

test("a package that declares no bundle is refused with what to add", () => {
  const folder = temporary();
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "package.json"), "{}");
  expect(() => readDeclaration(folder)).toThrow(/declares no bundle: add "bundle"/);
});

/** Asked as an image's HEALTHCHECK asks. */
const health = async (env: Record<string, string>): Promise<number> => {
  const { promise, resolve } = Promise.withResolvers<number>();
  spawn(process.execPath, [HEALTH], { env: { PATH: "", ...env } }).once("exit", (code) => resolve(code ?? -1));
  return promise;
};

test("health is what the process says of itself; without HTTP, that it listens", async () => {
  let status = 200;
  const server = createServer((request, response) =>
    response.writeHead(request.url === "/readyz" ? status : 404).end(),
  );
  const tcp = createTcpServer((socket) => socket.destroy());
  for (const one of [server, tcp]) await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    tcp.close();
  });
  const [http, amqp] = [server, tcp].map((one) => String((one.address() as AddressInfo).port)) as [string, string];
  expect(await health({ HEALTH_PORT: http })).toBe(0);
  expect(await health({ HEALTH_PORT: "", HTTP_PORT: http })).toBe(0);
  status = 503;
  expect(await health({ HEALTH_PORT: http })).toBe(1);
  expect(await health({ PORT: amqp })).toBe(0);
  tcp.close();
  expect(await health({ PORT: amqp })).toBe(1);
});
