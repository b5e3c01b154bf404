import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { text } from "node:stream/consumers";
import { connect } from "node:tls";
import { expect, test } from "vitest";
import { makeCertificate } from "./index.ts";
import { configOf, scratchFolder } from "./testing/local-broker.ts";

/** The command, with files that are named in its environment; it is gone when the test is. */
function run(dir: string, files: Readonly<Record<string, string>>, env: Readonly<Record<string, string>> = {}) {
  const named = Object.entries({ CONFIG_FILE: JSON.stringify(configOf({ Queues: [{ Name: "work" }] })), ...files });
  for (const [name, content] of named) writeFileSync(path.join(dir, name), content);
  const places = Object.fromEntries(named.map(([name]) => [name, path.join(dir, name)]));
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "main.ts")], {
    env: { PATH: process.env.PATH, PORT: "0", ...places, ...env },
  });
  return {
    child,
    errors: text(child.stderr),
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

test("it serves with the certificate it was given", async () => {
  await using folder = await scratchFolder();
  const { key, cert } = makeCertificate(["localhost"], new Date());
  await using it = run(folder.dir, { TLS_KEY_FILE: key, TLS_CERTIFICATE_FILE: cert });
  const [line] = (await once(it.child.stdout, "data")) as [Buffer];
  const { port } = JSON.parse(line.toString()) as { port: number };
  const socket = connect({ port, host: "127.0.0.1", servername: "localhost", ca: cert });
  await once(socket, "secureConnect");
  expect(socket.authorized).toBe(true);
  socket.destroy();
});

test.each([
  [{ ENTRA_FILE: `{ "issuer": 1 }` }, ["entra/issuer: must be string", "jwksUri", "roleAssignments"]],
  [{ ENTRA_FILE: "{" }, ["Entra settings", "is not JSON"]],
  [{ TLS_KEY_FILE: "key" }, ["TLS_KEY_FILE and TLS_CERTIFICATE_FILE go together"]],
])("it does not start with %o, and says why", async (files, expected) => {
  await using folder = await scratchFolder();
  await using it = run(folder.dir, files);
  const [code] = await once(it.child, "exit");
  expect(code).toBe(1);
  const errors = await it.errors;
  for (const part of expected) expect(errors).toContain(part);
});
