import { REQUEST_HEADERS, requestSubject } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { natsServer } from "@millrace/testkit";
import { headers } from "nats";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Bus, connectBus } from "./bus.ts";
import { deleteMessage } from "./delete.ts";
import { readLastOfEach } from "./direct-batch.ts";
import { provision } from "./provision.ts";
import { requeueRequest } from "./requeue.ts";
import { type Scanned, type ScanRange, scan } from "./scan.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });

const log = createLogger("scan-test", process.env.LOG_LEVEL ?? "silent");
const STREAM = "REQUESTS_TENSOR";
let stack: AsyncDisposableStack;
let server: Awaited<ReturnType<typeof natsServer>>;
let operator: Bus;
let keeper: Bus;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  server = stack.use(await natsServer());
  const as = async (user: string) =>
    stack.use(await connectBus({ url: server.url, user, password: server.passwordOf(user), log }));
  operator = await as("operator");
  keeper = await as("keeper");
  await provision(operator, { replicas: 1 });
});
afterEach(() => stack.disposeAsync());

const subjectOf = (id: string, model = "pump") =>
  requestSubject({ kind: "tensor", priority: "normal", tenant: "acme", project: "plant", model, id });
const store = async (count: number) => {
  for (let at = 0; at < count; at += 500)
    await Promise.all(
      Array.from({ length: Math.min(500, count - at) }, (_, index) => {
        const all = headers();
        all.set("millrace-digest", `of ${at + index}`);
        const model = (at + index) % 3 === 0 ? "valve" : "pump";
        return operator.js.publish(subjectOf(`id-${at + index}`, model), "{}", { headers: all });
      }),
    );
};
const all = async (range: Partial<ScanRange> & { through: number }): Promise<Scanned[]> => {
  const found: Scanned[] = [];
  for await (const batch of scan(keeper, { stream: STREAM, ...range })) found.push(...batch);
  return found;
};

test("a scan gives each message of its range once and in order, with its headers, and no gap costs it time", async () => {
  await store(5_000);
  for (const sequence of [1, 2, 700, 5_000]) expect(await deleteMessage(keeper, STREAM, sequence)).toBe(true);
  expect(await deleteMessage(keeper, STREAM, 700), "it was gone").toBe(false);
  const found = await all({ through: 5_000 });
  expect(found.map(({ sequence }) => sequence)).toEqual(
    Array.from({ length: 5_000 }, (_, index) => index + 1).filter((sequence) => ![1, 2, 700, 5_000].includes(sequence)),
  );
  expect(found.every(({ header }) => header("millrace-digest")?.startsWith("of "))).toBe(true);
  expect(found[0]!.header("millrace-none")).toBeUndefined();
  expect(Math.abs(found[0]!.stored_ms - Date.now())).toBeLessThan(60_000);
  const some = await all({ from: 10, through: 20, filter: "req.tensor.*.*.*.valve.*", pull: 2 });
  expect(some.every(({ subject, sequence }) => subject.includes(".valve.") && sequence >= 10 && sequence <= 20)).toBe(
    true,
  );
  expect(await all({ stream: "REQUESTS_CHAT", from: 0, through: 0 })).toEqual([]);
  expect((await operator.jsm.consumers.list(STREAM).next()).length, "nothing is left behind").toBe(0);
});

test("a scan survives a restart of the server", async () => {
  await store(3_000);
  const found: number[] = [];
  let restarted = false;
  for await (const batch of scan(keeper, { stream: STREAM, through: 3_000, pull: 200 })) {
    found.push(...batch.map(({ sequence }) => sequence));
    if (found.length < 500 || restarted) continue;
    restarted = true;
    await server.restart();
  }
  expect(found).toEqual(Array.from({ length: 3_000 }, (_, index) => index + 1));
});

test("the last of each id is found in one question for hundreds, a message without a body among them", async () => {
  await store(1_200);
  await operator.js.publish(subjectOf("id-1"), new Uint8Array());
  const filters = Array.from({ length: 1_300 }, (_, index) => `req.tensor.*.acme.plant.*.id-${index}`);
  const found = await readLastOfEach(keeper, STREAM, filters);
  expect(found.size).toBe(1_200);
  expect(found.get(subjectOf("id-1"))?.sequence).toBe(1_201);
  // More than one answer may hold: asked again in halves.
  const wide = ["req.tensor.normal.acme.plant.pump.*", "req.tensor.normal.acme.plant.valve.*"];
  expect((await readLastOfEach(keeper, STREAM, wide)).size).toBe(1_200);
});

test("a request is put back byte for byte, once, and not in front of a later one", async () => {
  await store(3);
  const results = await Promise.all([requeueRequest(keeper, STREAM, 2), requeueRequest(keeper, STREAM, 2)]);
  expect(results.map(({ kind }) => kind).sort()).toEqual(["requeued", "superseded"]);
  const again = await operator.jsm.streams.getMessage(STREAM, { seq: 4 });
  expect(again.header.get(REQUEST_HEADERS.requeuedFrom)).toBe("2");
  expect(again.header.get("millrace-digest")).toMatch(/^of /);
  let last = 4;
  for (let requeues = 2; requeues <= 5; requeues++) {
    expect(await requeueRequest(keeper, STREAM, last)).toEqual({ kind: "requeued", sequence: last + 1, requeues });
    last++;
  }
  expect(await requeueRequest(keeper, STREAM, last)).toEqual({ kind: "given-up", requeues: 5 });
});
