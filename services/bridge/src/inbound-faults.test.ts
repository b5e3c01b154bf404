import { eventually } from "@millrace/testkit";
import { expect, it } from "vitest";
import { type Inbound, inbound, reading, request } from "./testing/inbound.ts";

/* The way in while things go wrong at Service Bus: the real processes and SDK, each fault ended by itself. */
const emptied = (around: Inbound, queue: string) =>
  eventually(async () => expect(await around.look(queue)).toEqual({ waiting: [], dead: [] }), {
    within_ms: 90_000,
    every_ms: 250,
  });
/** A sender that is not sure sends again, under the same ids. */
const insist = (send: () => Promise<void>) => eventually(send, { within_ms: 60_000, every_ms: 200 });

const OF_QUEUE = { entity: "requests" };
it.each<[string, object]>([
  ["connections are dropped every second", { kind: "drop-connection", everyMs: 1_000, durationMs: 6_000 }],
  ["links are dropped all the time", { kind: "drop-link", everyMs: 300, durationMs: 5_000, ...OF_QUEUE }],
  ["locks are lost", { kind: "lose-lock", probability: 0.4, seed: 7, times: 25, ...OF_QUEUE }],
  ["answers to settlements are lost", { kind: "lose-disposition", applied: true, times: 4, ...OF_QUEUE }],
  ["settlements are lost", { kind: "lose-disposition", applied: false, times: 4, ...OF_QUEUE }],
  ["nobody answers", { kind: "partition", durationMs: 5_000 }],
])(
  "each request is one, with one reply, and none is left, while %s",
  async (_, fault) => {
    await using around = await inbound();
    await around.startIngest();
    await using _worker = await around.work();
    await around.startBridge();
    const messages = Array.from({ length: 80 }, (_, n) => request(`m-${n}`, { replyTo: "replies" }));
    await around.send("requests", messages.slice(0, 40));
    await around.fault(fault);
    await insist(() => around.send("requests", messages.slice(40)));
    await emptied(around, "requests");
    await eventually(async () => expect((await around.look("replies")).waiting).toHaveLength(80), {
      within_ms: 90_000,
    });
    const replies = await around.take("replies", 80);
    expect(new Set(replies.map(({ correlationId }) => correlationId)).size).toBe(80);
    expect(await around.requests()).toBe(80);
  },
  240_000,
);

it("keeps the order of a session while its links are dropped and its locks lost", async () => {
  await using around = await inbound();
  await around.startIngest();
  await around.startBridge();
  const perSession = 25;
  await around.fault({ kind: "drop-link", everyMs: 700, durationMs: 6_000, entity: "by-sensor" });
  for (const n of Array(perSession).keys())
    await insist(() =>
      around.send(
        "by-sensor",
        ["a", "b"].map((sensor) =>
          request(`${sensor}-${n}`, { sessionId: sensor, body: reading(sensor.charCodeAt(0), n, 0) }),
        ),
      ),
    );
  await around.fault({ kind: "lose-lock", probability: 0.2, seed: 11, times: 6, entity: "by-sensor" });
  await emptied(around, "by-sensor");
  const stored = (await around.bodies()).map((body) => JSON.parse(body).inputs[0].data as number[]);
  for (const sensor of ["a", "b"])
    expect(stored.filter(([of]) => of === sensor.charCodeAt(0)).map(([, n]) => n)).toEqual([
      ...Array(perSession).keys(),
    ]);
}, 240_000);
