import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP way to a port of this machine that can be cut, as a cable is. */
export type Link = AsyncDisposable & {
  readonly port: number;
  /**
   * From now on nothing passes, either way, and nobody is told: what was sent waits in the socket buffers and new
   * connections hear nothing. That is what a network does that lost its path; a reset would be kinder.
   */
  cut(): void;
  /** What waited goes on, ends included. */
  mend(): void;
};

/** Opens a way to a loopback port, on `port` (0: any free one). A target that does not listen ends the connection. */
export async function openLink(target: number, port = 0): Promise<Link> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isCut = false;

  const pass = (from: Socket, to: Socket) => {
    from.on("data", (bytes) => {
      if (!to.write(bytes)) from.pause();
    });
    to.on("drain", () => {
      if (!isCut) from.resume();
    });
    // A paused socket does not read the other side's end: it is passed on when the link is mended.
    from.on("end", () => to.end());
    from.on("close", () => to.destroySoon());
    from.on("error", () => {}); // followed by "close"
  };
  const server = createServer((near) => {
    const far = connect({ port: target, host: "127.0.0.1", noDelay: true });
    near.setNoDelay(true);
    const pair = [near, far] as const;
    pairs.add(pair);
    pass(near, far);
    pass(far, near);
    near.on("close", () => pairs.delete(pair));
    if (isCut) for (const socket of pair) socket.pause();
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");

  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true;
      for (const socket of [...pairs].flat()) socket.pause();
    },
    mend() {
      isCut = false;
      for (const socket of [...pairs].flat()) socket.resume();
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of [...pairs].flat()) socket.destroy();
      }),
  };
}
