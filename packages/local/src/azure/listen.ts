import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

const REQUEST_MS = 10_000;

/** Lets an HTTP server listen on loopback, and nowhere else. @throws when the port is taken */
export async function listen(server: Server, port: number): Promise<{ port: number; close: () => Promise<void> }> {
  server.requestTimeout = REQUEST_MS;
  server.headersTimeout = REQUEST_MS;
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
