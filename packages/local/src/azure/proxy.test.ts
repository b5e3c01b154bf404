import { execFile } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { certificate, openWorld } from "./testing/world.ts";

/** An HTTP proxy that makes tunnels; `asked` are the places. */
async function connectProxy() {
  const asked: string[] = [];
  const open = new Set<Socket>();
  const proxy = createServer((_, response) => response.writeHead(405).end());
  proxy.on("connect", ({ url = "" }: { url?: string }, socket: Socket) => {
    asked.push(url);
    const target = connect({ port: Number(url.split(":").at(-1)), host: "127.0.0.1" }, () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      socket.pipe(target).pipe(socket);
    });
    for (const end of [socket, target]) {
      open.add(end);
      end.on("error", () => {});
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    asked,
    [Symbol.dispose]() {
      for (const socket of open) socket.destroy();
      proxy.close();
    },
  };
}

test("Key Vault is reached through the proxy of the environment, the identity route beside it", async () => {
  await using around = await openWorld({ seeds: { webhook: "whsec_1" } });
  using proxy = await connectProxy();
  const trust = path.join(around.directory, "trust.pem");
  writeFileSync(trust, certificate);
  const script = path.join(import.meta.dirname, "testing/read-secret.ts");
  const env = {
    PATH: process.env.PATH ?? "",
    IDENTITY_ENDPOINT: around.identity.endpoint,
    IDENTITY_HEADER: "the notifier's secret",
    AZURE_KEYVAULT_LOCAL: "true",
    NODE_EXTRA_CA_CERTS: trust,
    HTTPS_PROXY: proxy.url,
    HTTP_PROXY: proxy.url,
    NO_PROXY: "127.0.0.1",
  };
  const args = [script, `${around.vault.url}/secrets/webhook`];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 60_000 });
  expect(JSON.parse(stdout)).toEqual(["whsec_1"]);
  expect(new Set(proxy.asked)).toEqual(new Set([new URL(around.vault.url).host]));
});
