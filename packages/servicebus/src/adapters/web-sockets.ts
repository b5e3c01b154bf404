import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { createWebSocketStream, WebSocketServer } from "ws";

/** Azure's path, and AMQP's names in a WebSocket: the older one most SDKs say, and OASIS's (AMQP WebSocket Binding). */
const PATH = /^\/\$servicebus\/websocket\/?(?:\?|$)/i;
const PROTOCOLS = ["AMQPWSB10", "amqp"];
/** A client may put many frames into one message. */
const MAX_MESSAGE_BYTES = 4 << 20;

/** AMQP in WebSockets, for clients that only get out by HTTPS: one binary stream in each. */
export class WebSockets {
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    handleProtocols: (offered) => PROTOCOLS.find((name) => offered.has(name)) ?? false,
  });

  /** Answers a request to upgrade; `opened` gets what is then spoken inside. */
  upgrade(request: IncomingMessage, socket: Duplex, options: { head: Buffer; opened: (stream: Duplex) => void }): void {
    const offered = String(request.headers["sec-websocket-protocol"] ?? "").split(/ *, */);
    const known = PROTOCOLS.some((name) => offered.includes(name));
    if (!PATH.test(request.url ?? "") || !known) {
      const status = known ? "404 Not Found" : "400 Bad Request";
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    this.#server.handleUpgrade(request, socket, options.head, (webSocket) => {
      const stream = createWebSocketStream(webSocket);
      // A connection that breaks off ends the reading half only.
      webSocket.once("close", () => setImmediate(() => stream.destroy()));
      options.opened(stream);
    });
  }
}
