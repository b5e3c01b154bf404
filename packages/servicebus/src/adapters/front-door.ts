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
  readonly #isRefused: () => boolean;
  /** Those not handed to AMQP, which closes its own. */
  readonly #others = new Set<Socket>();

  /** Those that wait for the end of a partition. */
  #held: (() => void)[] | undefined;

  constructor(options: {
    secureContext: SecureContext;
    amqp: (socket: Socket) => void;
    http: HttpServer;
    /** Whether a connection that is no plain HTTP is to be reset: a fault on demand. */
    isRefused: () => boolean;
  }) {
    this.#secureContext = options.secureContext;
    this.#amqp = options.amqp;
    this.#http = options.http;
    this.#isRefused = options.isRefused;
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
      this.#admit(socket, chunk[0], carrier);
    };
    socket.once("readable", look);
  }

  /** While held, all but plain HTTP (by which it can be ended) is accepted and hears nothing. */
  hold(held: boolean): void {
    const waiting = this.#held ?? [];
    this.#held = held ? waiting : undefined;
    if (!held) for (const proceed of waiting) proceed();
  }

  close(): void {
    for (const socket of this.#others) socket.destroy();
  }

  #admit(socket: Socket, firstByte: number | undefined, carrier: Socket | undefined): void {
    const outermost = !carrier && (firstByte === AMQP || firstByte === TLS_HANDSHAKE);
    if (outermost && this.#isRefused()) socket.resetAndDestroy();
    else if (outermost && this.#held) this.#held.push(() => this.#route(socket, firstByte, carrier));
    else this.#route(socket, firstByte, carrier);
  }

  #route(socket: Socket, firstByte: number | undefined, carrier: Socket | undefined): void {
    if (socket.destroyed) return;
    if (firstByte === TLS_HANDSHAKE && !carrier) {
      this.enter(new TLSSocket(socket, { isServer: true, secureContext: this.#secureContext }), socket);
    } else if (firstByte === AMQP) {
      this.#others.delete(socket);
      if (carrier) this.#others.delete(carrier);
      this.#amqp(socket);
    } else this.#http.emit("connection", socket);
  }
}
