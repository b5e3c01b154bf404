import { once } from "node:events";
import { connect } from "node:net";
import Fastify from "fastify";
import { expect, it } from "vitest";
import { openEventStream } from "./event-stream.ts";

/** Serves one event stream and hands it to `serve`; answers the port. */
async function serving(
  serve: (events: ReturnType<typeof openEventStream>, buffered: () => number) => Promise<void>,
  options: { heartbeat_ms?: number; stall_ms?: number },
) {
  const app = Fastify();
  app.get("/", async (request, reply) => {
    using events = openEventStream(request, reply, new AbortController().signal, options);
    await serve(events, () => reply.raw.writableLength);
    return reply;
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  const address = app.server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    [Symbol.asyncDispose]: () => app.close(),
  };
}

it("disconnects a client that takes nothing, and never buffers more than an event for it", async () => {
  const EVENT_BYTES = 256 * 1024;
  const { promise: ended, resolve } = Promise.withResolvers<{ sent: number; most: number }>();
  await using server = await serving(
    async (events, buffered) => {
      let sent = 0;
      let most = 0;
      const sending = { event: "done", data: "x".repeat(EVENT_BYTES), id: 1 };
      for (;;) {
        const taken = events.send(sending);
        most = Math.max(most, buffered());
        if (!(await taken)) break;
        sent++;
      }
      resolve({ sent, most });
    },
    { stall_ms: 200 },
  );
  const socket = connect(server.port, "127.0.0.1").pause();
  socket.on("error", () => {}); // it is cut off
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const { sent, most } = await ended;
  expect(sent).toBeLessThan(200); // what the kernel's socket buffers took
  expect(most).toBeLessThan(2 * EVENT_BYTES);
  socket.resume();
  await once(socket, "close");
});

it("keeps a quiet connection alive with comments, and ends when it is let go", async () => {
  const { promise: quiet, resolve: letGo } = Promise.withResolvers<void>();
  await using server = await serving(async () => quiet, { heartbeat_ms: 20 });
  const response = await fetch(`http://127.0.0.1:${server.port}/`);
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.split(": heartbeat\n\n").length > 3) letGo();
  }
  expect(text.startsWith(": millrace\n\n")).toBe(true);
});
