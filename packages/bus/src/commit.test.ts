import { freshRequestId } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { natsServer } from "@millrace/testkit";
import { type MsgHdrs, NatsError } from "nats";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type Bus, connectBus } from "./bus.ts";
import { HeaderBlock } from "./header-block.ts";
import type { Outgoing, Stored } from "./outgoing.ts";
import { provision } from "./provision.ts";
import { readLast } from "./read.ts";
import { publishRequest } from "./requests.ts";

type Server = Awaited<ReturnType<typeof natsServer>>;
const log = createLogger("commit-test", "fatal");
const connectTo = (to: Server, user: "operator" | "inference" | "ingest") =>
  connectBus({ url: to.url, user, password: to.passwordOf(user), log });

let server: Server;
let bus: Bus;
beforeAll(async () => {
  server = await natsServer();
  bus = await connectTo(server, "operator");
  await provision(bus, { replicas: 1 });
});
afterAll(async () => {
  await bus[Symbol.asyncDispose]();
  await server.close();
});
afterEach(() => void vi.restoreAllMocks());

const outgoing = (id: string, state: "done" | "dead" = "done", over: Partial<Outgoing> = {}): Outgoing => ({
  subject: `out.a.b.m.${id}.${state}`,
  exclusive: `out.a.b.m.${id}.*`,
  body: Buffer.from("{}"),
  envelope: { id, type: "t", source: "s", subject: "s", time: "t", datacontenttype: "c", correlationid: "c" },
  ...over,
});
const ids = (count: number) => Array.from({ length: count }, () => freshRequestId());
const storeAll = (messages: readonly Outgoing[], by = bus): Promise<Stored[]> =>
  Promise.all(messages.map((message) => by.store(message)));
const storedUnder = async (id: string) =>
  Object.keys((await bus.jsm.streams.info("OUTCOMES", { subjects_filter: `out.a.b.m.${id}.*` })).state.subjects ?? {});
const sequenceOf = (stored: Stored) => (stored.stored ? stored.sequence : Number.NaN);

/** What a connection asks of the server from now on: batches it commits, single publishes, and look-ups. */
function roundTrips(of: Bus, { blind = false } = {}) {
  const counted = { batches: 0, singles: 0, lookUps: 0 };
  const request = of.nc.request.bind(of.nc);
  vi.spyOn(of.nc, "request").mockImplementation((subject, payload, options) => {
    const headers = options?.headers as MsgHdrs | undefined;
    if (subject.startsWith("$JS.API.")) counted.lookUps++;
    else if (headers?.has("Nats-Batch-Commit")) counted.batches++;
    else counted.singles++;
    return request(subject, payload, options);
  });
  const publish = of.nc.publish.bind(of.nc);
  vi.spyOn(of.nc, "publish").mockImplementation((subject, payload, options) => {
    if (subject.startsWith("$JS.API.DIRECT.GET.")) {
      if (blind) throw new Error("no answer");
      counted.lookUps++;
    }
    publish(subject, payload, options);
  });
  return counted;
}

describe("a batch", () => {
  it("stores what comes together, and says where each message stands", async () => {
    const counted = roundTrips(bus);
    const all = ids(600);
    const sequences = (await storeAll(all.map((id) => outgoing(id)))).map(sequenceOf);
    expect(new Set(sequences).size).toBe(600);
    for (const index of [0, 255, 256, 599]) {
      const message = await bus.jsm.streams.getMessage("OUTCOMES", { seq: sequences[index]! });
      expect(message.subject).toBe(`out.a.b.m.${all[index]}.done`);
    }
    expect(counted).toEqual({ batches: 3, singles: 0, lookUps: 4 });
  });

  it("leaves a lone message and a few to go at once, by themselves", async () => {
    const counted = roundTrips(bus);
    await storeAll(ids(1).map((id) => outgoing(id)));
    await storeAll(ids(7).map((id) => outgoing(id)));
    expect(counted).toEqual({ batches: 0, singles: 8, lookUps: 0 });
  });

  it.each([1, 2, 50, 248])("costs one more batch, and no single publish, when %i of 256 exist", async (existing) => {
    const all = ids(256);
    const taken = new Set(
      all.filter((_, index) => Math.floor((index * existing) / 256) !== Math.floor(((index + 1) * existing) / 256)),
    );
    expect(taken.size).toBe(existing);
    await storeAll([...taken].map((id) => outgoing(id, "dead")));

    const counted = roundTrips(bus);
    const stored = await storeAll(all.map((id) => outgoing(id)));
    expect(counted).toEqual({ batches: 2, singles: 0, lookUps: 1 });
    expect(stored.map((one) => one.stored)).toEqual(all.map((id) => !taken.has(id)));
    for (const id of [...taken].slice(0, 3)) expect(await storedUnder(id)).toEqual([`out.a.b.m.${id}.dead`]);
  });

  it("is not sent again when all of it exists", async () => {
    const all = ids(100);
    await storeAll(all.map((id) => outgoing(id, "dead")));
    const counted = roundTrips(bus);
    const stored = await storeAll(all.map((id) => outgoing(id)));
    expect(stored.some((one) => one.stored)).toBe(false);
    expect(counted).toEqual({ batches: 1, singles: 0, lookUps: 1 });
  });

  it("falls back to single publishes after two tries, when nobody can say what exists", async () => {
    const all = ids(20);
    await bus.store(outgoing(all[3]!, "dead"));
    const counted = roundTrips(bus, { blind: true });
    const stored = await storeAll(all.map((id) => outgoing(id)));
    expect(stored.map((one) => one.stored)).toEqual(all.map((_, index) => index !== 3));
    expect(counted).toEqual({ batches: 2, singles: 20, lookUps: 0 });
  });

  it("replaces the message that is expected, and no other", async () => {
    const all = ids(20);
    const dead = (await storeAll(all.map((id) => outgoing(id, "dead")))).map(sequenceOf);
    const late = all[7]!;
    const replaced = sequenceOf(await bus.store(outgoing(late, "done", { expected: dead[7]! })));
    // One of them comes too late, one expects what never was, the others follow their dead letters.
    const never = freshRequestId();
    const messages = all.map((id, index) => outgoing(id, "done", { expected: dead[index]! }));
    const stored = await storeAll([...messages, outgoing(never, "done", { expected: dead[0]! })]);
    expect(stored.map((one) => one.stored)).toEqual([...all.map((id) => id !== late), false]);
    expect((await readLast(bus, "OUTCOMES", `out.a.b.m.${late}.*`))?.sequence).toBe(replaced);
    expect(await storedUnder(never)).toEqual([]);
  });

  it("is tried again while the server has too many open, and its messages go singly then", async () => {
    await using own = await natsServer();
    await using operator = await connectTo(own, "operator");
    await provision(operator, { replicas: 1 });
    for (const id of ids(50)) {
      const first = [["Nats-Batch-Id", id] as const, ["Nats-Batch-Sequence", "1"] as const];
      await operator.nc.request(`out.a.b.m.${id}.done`, "{}", { headers: new HeaderBlock(first), timeout: 5_000 });
    }
    const counted = roundTrips(operator);
    const stored = await storeAll(
      ids(30).map((id) => outgoing(id)),
      operator,
    );
    expect(stored.every((one) => one.stored)).toBe(true);
    expect(counted).toEqual({ batches: 2, singles: 30, lookUps: 0 });
  });

  it("keeps two connections that write the same ids to one outcome each", async () => {
    await using other = await connectTo(server, "inference");
    const all = ids(300);
    const stored = await Promise.all(
      all.flatMap((id) => [bus.store(outgoing(id, "done")), other.store(outgoing(id, "dead"))]),
    );
    expect(stored.filter((one) => one.stored)).toHaveLength(300);
    for (const id of all) expect(await storedUnder(id)).toHaveLength(1);
  });

  it("refuses a header that would end its line, and stores the others", async () => {
    const all = ids(20);
    const messages = all.map((id, index) =>
      outgoing(id, "done", index === 4 ? { headers: { note: "one\r\nNats-Rollup: all" } } : {}),
    );
    const stored = await Promise.allSettled(messages.map((message) => bus.store(message)));
    expect(stored.map(({ status }) => status === "fulfilled")).toEqual(all.map((_, index) => index !== 4));
  });

  it("outlives a server restart: every message is stored once, and who is told so is told right", async () => {
    await using own = await natsServer();
    await using operator = await connectTo(own, "operator");
    await provision(operator, { replicas: 1 });
    const all = ids(3_000);
    const storing = Promise.all(
      all.map(async (id, index) => {
        // In waves, so that the kill finds batches under way, forming, and not thought of.
        await new Promise((resolve) => setTimeout(resolve, Math.floor(index / 300) * 20));
        return operator.store(outgoing(id));
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    await own.kill();
    await own.restart();
    const stored = await storing;

    const { messages } = (await operator.jsm.streams.info("OUTCOMES")).state;
    expect(messages).toBe(3_000);
    for (const [index, one] of stored.entries()) {
      const last = await readLast(operator, "OUTCOMES", `out.a.b.m.${all[index]}.*`);
      if (one.stored) expect(last?.sequence).toBe(one.sequence);
      else expect(last?.header("ce-id")).toBe(all[index]); // stored by the try whose answer was lost
    }
  }, 60_000);
});

describe("messages with one filter", () => {
  it("merge while they wait or are under way: one is sent, the others are told that it exists", async () => {
    const counted = roundTrips(bus);
    const [id] = ids(1) as [string];
    const first = storeAll(Array.from({ length: 100 }, () => outgoing(id)));
    await new Promise((resolve) => setImmediate(resolve)); // under way now
    const second = storeAll(Array.from({ length: 100 }, () => outgoing(id)));
    const stored = [...(await first), ...(await second)];
    expect(stored.map((one) => one.stored)).toEqual([true, ...Array.from({ length: 199 }, () => false)]);
    expect(counted).toEqual({ batches: 0, singles: 1, lookUps: 0 });
  });

  it("let done and dead exclude each other, also when they arrive together", async () => {
    const all = ids(100);
    const stored = await storeAll(all.flatMap((id) => [outgoing(id, "done"), outgoing(id, "dead")]));
    expect(stored.map((one) => one.stored)).toEqual(all.flatMap(() => [true, false]));
    for (const id of all) expect(await storedUnder(id)).toEqual([`out.a.b.m.${id}.done`]);
  });

  it("follow each other when they expect different ones", async () => {
    const [id] = ids(1) as [string];
    const dead = sequenceOf(await bus.store(outgoing(id, "dead")));
    const [fresh, redriven, again] = await storeAll([
      outgoing(id, "done"),
      outgoing(id, "done", { expected: dead }),
      outgoing(id, "dead", { expected: dead }),
    ]);
    expect([fresh?.stored, redriven?.stored, again?.stored]).toEqual([false, true, false]);
  });

  it("share the failure of the one that was sent, and the next one is sent again", async () => {
    const [id] = ids(1) as [string];
    vi.spyOn(bus.js, "publish").mockRejectedValue(new NatsError("not allowed", "PERMISSIONS_VIOLATION"));
    const stored = await Promise.allSettled([bus.store(outgoing(id)), bus.store(outgoing(id, "dead"))]);
    expect(stored.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    vi.restoreAllMocks();
    expect((await bus.store(outgoing(id))).stored).toBe(true);
  });

  it("as requests: equal bodies are one job, another body is a conflict, whatever the order they come in", async () => {
    await using ingest = await connectTo(server, "ingest");
    const of = { tenant: "a", project: "b", model: "m", priority: "normal", rows: 1, modelVersion: "1" } as const;
    const request = (id: string, body: string) =>
      publishRequest(ingest, {
        ...of,
        id,
        body: { bytes: Buffer.from(body) },
        modelDigest: "sha256:00",
        correlationId: "c",
      });
    const all = ids(40);
    const answers = await Promise.all(
      all.flatMap((id) => [request(id, "[1]"), request(id, "[2]"), request(id, "[1]")]),
    );
    for (const index of all.keys()) {
      const [first, other, same] = answers.slice(index * 3, index * 3 + 3);
      expect(first).toMatchObject({ kind: "accepted", repeated: false });
      expect(other).toMatchObject({ kind: "conflict", existing: first!.digest });
      expect(same).toMatchObject({ kind: "accepted", repeated: true, digest: first!.digest });
    }
  });
});
