import { once } from "node:events";
import { createConnection, createServer } from "node:net";

const HOST = "127.0.0.1";
const TRIES = 100;

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const port = await tryPort(0);
  if (port === undefined) throw new Error("the system has no free loopback port left");
  return port;
}

/**
 * `wanted` or the next free port after it; 0 for any.
 * @throws when a hundred ports in a row are taken
 */
export async function freePortFrom(wanted: number): Promise<number> {
  if (wanted === 0) return await freePort();
  for (let port = wanted; port < wanted + TRIES; port += 1) {
    if ((await tryPort(port)) !== undefined) return port;
  }
  throw new Error(`ports ${wanted} to ${wanted + TRIES - 1} are all taken; name another with an option`);
}

async function tryPort(port: number): Promise<number | undefined> {
  const server = createServer();
  try {
    server.listen({ port, host: HOST, exclusive: true });
    await once(server, "listening");
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : undefined;
  } catch {
    return undefined;
  } finally {
    server.close();
  }
}

/** Whether somebody listens on a loopback port. */
export async function accepts(port: number): Promise<boolean> {
  const socket = createConnection({ port, host: HOST });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(1_000) });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
