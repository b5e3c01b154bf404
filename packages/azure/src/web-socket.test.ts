import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { makeCertificate, start } from "@millrace/servicebus";
import { afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { createWebSocketStream, WebSocketServer } from "ws";
import { openServiceBus } from "./service-bus.ts";

const config = { UserConfig: { Namespaces: [{ Topics: [{ Name: "news", Subscriptions: [{ Name: "all" }] }] }] } };
const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;

const certificate = makeCertificate(["localhost"], new Date());
beforeAll(() => {
  // What NODE_EXTRA_CA_CERTS does when a process starts.
  setDefaultCACertificates([...getCACertificates("default"), certificate.cert]);
});

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await stack.disposeAsync();
});

/** Port 443 of a namespace: TLS, and AMQP inside WebSockets. */
async function webSocketFront(amqpPort: number): Promise<number> {
  const tls = createTlsServer(certificate);
  const sockets = new WebSocketServer({ server: tls, path: "/$servicebus/websocket" });
  sockets.on("connection", (socket) => {
    const stream = createWebSocketStream(socket);
    const amqp = connect({ port: amqpPort, host: "127.0.0.1" });
    for (const end of [stream, amqp]) end.on("error", () => {});
    stream.pipe(amqp).pipe(stream);
  });
  tls.listen(0, "127.0.0.1");
  await once(tls, "listening");
  stack.defer(() => {
    for (const socket of sockets.clients) socket.terminate();
    tls.close();
  });
  return portOf(tls);
}

/** An HTTP proxy that makes tunnels, and nothing else; it keeps a list of where to. */
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
  stack.defer(() => {
    for (const socket of open) socket.destroy();
    proxy.close();
  });
  return { url: `http://127.0.0.1:${portOf(proxy)}`, asked };
}

it.each([
  ["through the proxy", "", 1],
  ["past it when NO_PROXY names the host", "localhost", 0],
])("AMQP goes inside WebSockets %s", async (_name, noProxy, tunnels) => {
  const broker = stack.use(await start({ port: 0, host: "127.0.0.1", config, sharedAccessKey: "a test's key" }));
  const front = await webSocketFront(broker.port);
  const proxy = await connectProxy();
  vi.stubEnv("HTTPS_PROXY", proxy.url);
  vi.stubEnv("NO_PROXY", noProxy);
  const connectionString = `Endpoint=sb://localhost:${front};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=a test's key`;
  const serviceBus = stack.use(await openServiceBus({ connectionString }, { webSocket: true }));
  const sender = stack.use(serviceBus.sender("news"));
  expect(await sender.sendAll([{ messageId: "a", body: Buffer.from("hello") }])).toEqual([{ ok: true }]);
  expect(broker.inspect("news/Subscriptions/all").active).toBe(1);
  expect(proxy.asked).toEqual(Array(tunnels).fill(`localhost:${front}`));
});
