import type { Server as HttpServer } from "node:http";
import type { Socket } from "node:net";
import { type SecureContext, TLSSocket } from "node:tls";

const AMQP = 0x41; // "AMQP"
const TLS_HANDSHAKE = 0x16;
/** How long a client may take to say what it speaks. */
const FIRST_BYTE_MS = 30_000;

/**
 * One port for everything, as the Azure SDKs expect of an endpoint: AMQP, HTTP, and either of them inside TLS. The first
 * byte tells which.
 */
export class FrontDoor {
  readonly #secureContext: SecureContext;
  readonly #amqp: (socket: Socket) => void;
  readonly #http: HttpServer;
  /** Those not handed to AMQP, which closes its own. */
  readonly #others = new Set<Socket>();

  constructor(options: { secureContext: SecureContext; amqp: (socket: Socket) => void; http: HttpServer }) {
    this.#secureContext = options.secureContext;
    this.#amqp = options.amqp;
    this.#http = options.http;
  }

  /** `carrier` is the connection that a TLS one runs in. */
  enter(socket: Socket, carrier?: Socket): void {
    this.#others.add(socket);
    socket.once("close", () => this.#others.delete(socket));
    socket.on("error", () => {}); // a client that breaks off is no news, and must not end the process
    const timer = setTimeout(() => socket.destroy(), FIRST_BYTE_MS).unref();
    const look = () => {
      const chunk = socket.read() as Buffer | null;
      if (!chunk) {
        socket.once("readable", look);
        return;
      }
      clearTimeout(timer);
      socket.unshift(chunk);
      this.#route(socket, chunk[0], carrier);
    };
    socket.once("readable", look);
  }

  close(): void {
    for (const socket of this.#others) socket.destroy();
  }

  #route(socket: Socket, firstByte: number | undefined, carrier: Socket | undefined): void {
    if (firstByte === TLS_HANDSHAKE && !carrier) {
      this.enter(new TLSSocket(socket, { isServer: true, secureContext: this.#secureContext }), socket);
    } else if (firstByte === AMQP) {
      this.#others.delete(socket);
      if (carrier) this.#others.delete(carrier);
      this.#amqp(socket);
    } else this.#http.emit("connection", socket);
  }
}
