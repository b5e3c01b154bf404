import type { Server as HttpServer } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type SecureContext, TLSSocket } from "node:tls";
import { WebSockets } from "./web-sockets.ts";

const AMQP = 0x41; // "AMQP"
const TLS_HANDSHAKE = 0x16;
/** How long a client may take to say what it speaks. */
const FIRST_BYTE_MS = 30_000;

/**
 * One port for everything, as the Azure SDKs expect of an endpoint: AMQP, HTTP, AMQP in WebSockets, and each of them inside
 * TLS. The first byte tells which.
 */
export class FrontDoor {
  readonly #secureContext: SecureContext;
  readonly #amqp: (stream: Duplex) => void;
  readonly #http: HttpServer;
  readonly #isRefused: () => boolean;
  readonly #webSockets = new WebSockets();
  /** Those not handed to AMQP, which closes its own. */
  readonly #others = new Set<Duplex>();
  /** The connections that TLS ones run in. */
  readonly #carriers = new WeakMap<Duplex, Socket>();
  /** Those that wait for the end of a partition. */
  #held: (() => void)[] | undefined;

  constructor(options: {
    secureContext: SecureContext;
    amqp: (stream: Duplex) => void;
    http: HttpServer;
    /** Whether a new connection is to be reset, unless it is for plain HTTP requests: a fault on demand. */
    isRefused: () => boolean;
  }) {
    this.#secureContext = options.secureContext;
    this.#amqp = options.amqp;
    this.#http = options.http;
    this.#isRefused = options.isRefused;
    this.#http.on("upgrade", (request, socket: Socket, head) => {
      const upgrade = () =>
        this.#webSockets.upgrade(request, socket, { head, opened: (stream) => this.#handOver(socket, stream) });
      if (this.#carriers.has(socket)) upgrade();
      else this.#admit(socket, upgrade);
    });
  }

  enter(socket: Socket): void {
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
      this.#route(socket, chunk[0]);
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

  #route(socket: Socket, firstByte: number | undefined): void {
    const inTls = this.#carriers.has(socket);
    const speakAmqp = () => this.#handOver(socket, socket.setNoDelay(true));
    if (firstByte === TLS_HANDSHAKE && !inTls) this.#admit(socket, () => this.#unwrap(socket));
    else if (firstByte === AMQP && inTls) speakAmqp();
    else if (firstByte === AMQP) this.#admit(socket, speakAmqp);
    else this.#http.emit("connection", socket);
  }

  /** Lets a connection in, unless a fault keeps it out or waiting. */
  #admit(socket: Socket, proceed: () => void): void {
    if (this.#isRefused()) socket.resetAndDestroy();
    else if (this.#held) this.#held.push(() => socket.destroyed || proceed());
    else proceed();
  }

  #unwrap(carrier: Socket): void {
    const socket = new TLSSocket(carrier, { isServer: true, secureContext: this.#secureContext });
    this.#carriers.set(socket, carrier);
    this.enter(socket);
  }

  #handOver(socket: Socket, stream: Duplex): void {
    this.#others.delete(socket);
    const carrier = this.#carriers.get(socket);
    if (carrier) this.#others.delete(carrier);
    this.#amqp(stream);
  }
}
