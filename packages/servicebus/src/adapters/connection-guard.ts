import type { Duplex } from "node:stream";
import type { Connection } from "./rhea.ts";

/** What rhea offers no other way to get at. */
interface Guarded extends Connection {
  input(chunk: Buffer): void;
  _process(): void;
  /** Of the frame that is being received, if it is not whole yet. */
  readonly frame_size?: number;
  /** Set when the peer has broken the protocol. */
  readonly saved_error?: unknown;
}

/** A client that does not read what it asked for is not listened to any further while so much waits for it. */
const OUTPUT_BYTES = 8 << 20;
const LAST_WORDS_MS = 1_000;

/**
 * Keeps what one peer does from costing others more than its share: frames larger than we announced, requests whose answers
 * are never read, a connection that is broken and not closed, and answers that cannot be encoded. Must run before the
 * connection is accepted.
 */
export function guardConnection(connection: Connection, socket: Duplex, options: { maxFrameBytes: number }): void {
  const guarded = connection as Guarded;
  const input = guarded.input;
  guarded.input = (chunk) => {
    if (socket.destroyed) return;
    input.call(guarded, chunk);
    if (guarded.saved_error) {
      if (!socket.writableEnded) setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref();
      socket.end(() => socket.destroy());
    } else if ((guarded.frame_size ?? 0) > options.maxFrameBytes) {
      breakOff(connection, socket, {
        condition: "amqp:connection:framing-error",
        description: `A frame of ${guarded.frame_size} bytes was begun; the largest here is ${options.maxFrameBytes}.`,
      });
    } else if (socket.writableLength > OUTPUT_BYTES) {
      socket.pause();
      socket.once("drain", () => socket.resume());
    }
  };
  const work = guarded._process;
  guarded._process = () => {
    try {
      work.call(guarded);
    } catch {
      socket.destroy(); // what the peer sent, and is echoed, cannot be written
    }
  };
}

/** Closes a connection, and soon the socket too, whatever the peer does. */
export function breakOff(
  connection: Connection,
  socket: Duplex,
  error: { condition: string; description: string },
): void {
  connection.close(error);
  setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref();
}
