import { once } from "node:events";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { makeCertificate, start } from "@millrace/servicebus";
import { afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { createWebSocketStream, WebSocketServer } from "ws";
import { openServiceBus } from "./service-bus.ts";
import { connectProxy } from "./testing/connect-proxy.ts";

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

it.each([
  ["through the proxy", "", 1],
  ["past it when NO_PROXY names the host", "localhost", 0],
])("AMQP goes inside WebSockets %s", async (_name, noProxy, tunnels) => {
  const broker = stack.use(await start({ port: 0, host: "127.0.0.1", config, sharedAccessKey: "a test's key" }));
  const front = await webSocketFront(broker.port);
  const proxy = stack.use(await connectProxy());
  vi.stubEnv("HTTPS_PROXY", proxy.url);
  vi.stubEnv("NO_PROXY", noProxy);
  const connectionString = `Endpoint=sb://localhost:${front};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=a test's key`;
  const serviceBus = stack.use(await openServiceBus({ connectionString }, { webSocket: true }));
  const sender = stack.use(serviceBus.sender("news"));
  expect(await sender.sendAll([{ messageId: "a", body: Buffer.from("hello") }])).toEqual([{ ok: true }]);
  expect(broker.inspect("news/Subscriptions/all").active).toBe(1);
  expect(proxy.asked).toEqual(Array(tunnels).fill(`localhost:${front}`));
});
