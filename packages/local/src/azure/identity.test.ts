import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { createRemoteJWKSet, decodeJwt, jwtVerify } from "jose";
import { expect, onTestFinished, test } from "vitest";
import { type Identity, startIdentity } from "./identity.ts";
import { principalOf } from "./principal.ts";

const bridge = principalOf("bridge", "the bridge's secret");
const notifier = principalOf("notifier", "the notifier's secret");

function keysFile(): string {
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-identity-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return path.join(directory, "keys.json");
}

const serve = (options: Partial<Parameters<typeof startIdentity>[0]> = {}) =>
  startIdentity({ port: 0, principals: [bridge, notifier], keysFile: keysFile(), ...options });

/** Asks as a process of its own does, with the SDK as it is. */
async function ask(endpoint: string, header: string, args: readonly string[]) {
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: "/nonexistent",
    IDENTITY_ENDPOINT: endpoint,
    IDENTITY_HEADER: header,
  };
  const script = path.join(import.meta.dirname, "testing/get-token.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], { env, timeout: 60_000 });
  return JSON.parse(stdout) as { token: string; expiresOnTimestamp: number };
}

const get = async (url: string, header?: string) => {
  const response = await fetch(url, { headers: header === undefined ? {} : { "x-identity-header": header } });
  return { status: response.status, body: (await response.json()) as Record<string, string> };
};

const tokenUrl = ({ endpoint }: Pick<Identity, "endpoint">, query = "") =>
  `${endpoint}?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net${query}`;

const verify = (identity: Pick<Identity, "issuer" | "jwksUri">, token: string, audience: string) =>
  jwtVerify(token, createRemoteJWKSet(new URL(identity.jwksUri)), { issuer: identity.issuer, audience });

test.each([
  ["default", "https://servicebus.azure.net//.default", "https://servicebus.azure.net/"],
  ["managed", "https://vault.azure.net/.default", "https://vault.azure.net"],
])("the unmodified SDK (%s credential) gets a token for %s that verifies", async (kind, scope, audience) => {
  await using identity = await serve();
  const before_s = Math.floor(Date.now() / 1_000);
  const { token, expiresOnTimestamp } = await ask(identity.endpoint, "the bridge's secret", [kind, scope]);
  const { payload, protectedHeader } = await verify(identity, token, audience);
  expect(protectedHeader).toMatchObject({ alg: "RS256", typ: "JWT", kid: expect.any(String) });
  expect(payload).toMatchObject({
    oid: bridge.principalId,
    sub: bridge.principalId,
    appid: bridge.clientId,
    idtyp: "app",
    ver: "1.0",
  });
  expect(payload.nbf).toBeLessThanOrEqual(payload.iat!);
  expect(payload.exp! - payload.iat!).toBe(3_600);
  expect(payload.exp).toBeGreaterThanOrEqual(before_s + 3_600);
  expect(Math.abs(expiresOnTimestamp - payload.exp! * 1_000)).toBeLessThan(2_000);
});

test("each process has an identity of its own, and no other one by asking for it", async () => {
  await using identity = await serve();
  const own = await ask(identity.endpoint, "the notifier's secret", [
    "managed",
    "https://vault.azure.net/.default",
    notifier.clientId,
  ]);
  expect(decodeJwt(own.token).oid).toBe(notifier.principalId);
  await expect(
    ask(identity.endpoint, "the notifier's secret", ["managed", "https://vault.azure.net/.default", bridge.clientId]),
  ).rejects.toThrow(/no such identity is assigned/);
});

test("without the secret, with another one, or with a request that is none, there is no token", async () => {
  await using identity = await serve();
  expect((await get(tokenUrl(identity))).status).toBe(401);
  expect((await get(tokenUrl(identity), "a guess")).status).toBe(401);
  const header = "the bridge's secret";
  expect((await get(identity.endpoint, header)).status).toBe(400);
  expect((await get(`${identity.endpoint}?api-version=2019-08-01&resource=me`, header)).status).toBe(400);
  expect((await get(tokenUrl(identity, "&mi_res_id=other"), header)).status).toBe(400);
  expect((await fetch(tokenUrl(identity), { method: "POST", headers: { "x-identity-header": header } })).status).toBe(
    405,
  );
  expect((await get(identity.endpoint.replace("/msi/token", "/elsewhere"), header)).status).toBe(404);
});

test("discovery leads to the keys, which hold no private half", async () => {
  await using identity = await serve();
  const origin = new URL(identity.endpoint).origin;
  const { body } = await get(`${origin}/.well-known/openid-configuration`);
  expect((await get(`${identity.issuer}.well-known/openid-configuration`)).body).toEqual(body);
  expect(body.issuer).toBe(identity.issuer);
  const { keys } = (await (await fetch(body.jwks_uri!)).json()) as { keys: object[] };
  expect(keys.map((key) => Object.keys(key).sort())).toEqual([["alg", "e", "kid", "kty", "n", "use"]]);
});

test("a token says when it expires, as configured", async () => {
  await using identity = await serve({ token_s: 2 });
  const { body } = await get(tokenUrl(identity), "the bridge's secret");
  const { exp, iat } = decodeJwt(body.access_token!);
  expect(exp! - iat!).toBe(2);
  expect(Number(body.expires_on)).toBe(exp);
});

test("after a rotation new tokens have another key, old ones are good until they expire", async () => {
  let now_ms = Date.now();
  const file = keysFile();
  await using identity = await serve({ keysFile: file, now: () => now_ms });
  const issue = async () => (await get(tokenUrl(identity), "the bridge's secret")).body.access_token!;
  const published = async () => ((await (await fetch(identity.jwksUri)).json()) as { keys: unknown[] }).keys.length;
  const old = await issue();
  await identity.rotate();
  const fresh = await issue();
  const results = await Promise.all([old, fresh].map((token) => verify(identity, token, "https://vault.azure.net")));
  expect(results[0]!.protectedHeader.kid).not.toBe(results[1]!.protectedHeader.kid);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  now_ms += 3_601_000;
  expect(await published()).toBe(1);
});

test("as a process it keeps its key over a restart, and makes a new one on SIGHUP", async () => {
  const file = keysFile();
  const config = path.join(path.dirname(file), "azure.json");
  writeFileSync(config, JSON.stringify({ identity: { port: 0, principals: [bridge], keysFile: file } }));
  const first = await command(config);
  expect(readFileSync(file, "utf8")).toContain(first.kid);
  await first.end("SIGKILL");
  const second = await command(config);
  expect(second.kid).toBe(first.kid);
  second.child.kill("SIGHUP");
  expect(await second.nextLine()).toMatchObject({ event: expect.stringContaining("new signing key") });
  expect(await second.end("SIGTERM")).toBe(0);
  const third = await command(config);
  expect(third.kid).not.toBe(first.kid);
});

async function command(config: string) {
  const child: ChildProcess = spawn(process.execPath, [path.join(import.meta.dirname, "main.ts")], {
    env: { PATH: process.env.PATH ?? "", AZURE_FILE: config },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
  const nextLine = async () => JSON.parse((await lines.next()).value as string) as Record<string, unknown>;
  const { identity_port } = await nextLine();
  const discovery = await get(`http://127.0.0.1:${identity_port}/.well-known/openid-configuration`);
  const { keys } = (await (await fetch(discovery.body.jwks_uri!)).json()) as { keys: { kid: string }[] };
  return {
    child,
    nextLine,
    kid: keys.at(-1)!.kid,
    async end(signal: NodeJS.Signals) {
      const ended = once(child, "exit");
      child.kill(signal);
      return (await ended)[0] as number | null;
    },
  };
}
