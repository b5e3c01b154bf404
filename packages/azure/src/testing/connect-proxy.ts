import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

/** An HTTP proxy on loopback that makes tunnels (`CONNECT`) to ports of this machine, and nothing else. */
export type ConnectProxy = Disposable & {
  readonly url: string;
  /** `host:port` of each tunnel that was asked for. */
  readonly asked: readonly string[];
};

export async function connectProxy(): Promise<ConnectProxy> {
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
