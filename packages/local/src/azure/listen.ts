import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { ListenOptions } from "./addresses.ts";

const REQUEST_MS = 10_000;

/** Lets an HTTP server listen, on loopback unless told otherwise. @throws when the port is taken */
export async function listen(
  server: Server,
  { port, host = "127.0.0.1" }: ListenOptions,
): Promise<{ port: number; close: () => Promise<void> }> {
  server.requestTimeout = REQUEST_MS;
  server.headersTimeout = REQUEST_MS;
  server.listen(port, host);
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
