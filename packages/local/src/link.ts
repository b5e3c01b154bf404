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
  /** What is to be passed on when the link is mended: a paused socket hears of the other side's end all the same. */
  const held: (() => void)[] = [];
  let isCut = false;
  const whenWhole = (pass: () => void) => {
    if (isCut) held.push(pass);
    else pass();
  };

  const pass = (from: Socket, to: Socket) => {
    from.on("data", (bytes) => {
      if (!to.write(bytes)) from.pause();
    });
    to.on("drain", () => {
      if (!isCut) from.resume();
    });
    from.on("end", () => whenWhole(() => to.end()));
    from.on("close", () => whenWhole(() => to.destroySoon()));
    from.on("error", () => {}); // followed by "close"
  };
  const server = createServer((near) => {
    const far = connect({ port: target, host: "127.0.0.1", noDelay: true });
    near.setNoDelay(true);
    const pair = [near, far] as const;
    pairs.add(pair);
    pass(near, far);
    pass(far, near);
    near.on("close", () => whenWhole(() => pairs.delete(pair)));
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
      for (const pass of held.splice(0)) pass();
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of [...pairs].flat()) socket.destroy();
      }),
  };
}
