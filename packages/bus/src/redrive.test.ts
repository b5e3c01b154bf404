import {
  type DeadOutcome,
  type DiscardDecision,
  digestOf,
  EVENTS,
  encodeDead,
  InferenceDeadLettered,
  outcomeFilter,
  outcomeId,
  outcomeSubject,
  REQUEST_HEADERS,
  REQUESTS_TENSOR,
  type RedriveDecision,
  type RequestAddress,
  reasonOf,
  requestSubject,
  requestsOf,
  type UserName,
} from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { natsCluster, natsServer } from "@millrace/testkit";
import { describe, expect, it } from "vitest";
import { type Bus, connectBus } from "./bus.ts";
import { readDeadLetter, readDeadLetterPayload, readRedriveBasis, type StoredDeadLetter } from "./dead-letters.ts";
import { provision } from "./provision.ts";
import { completeRedrive, decideDeadLetter } from "./redrive.ts";
import { publishRequest } from "./requests.ts";
import { readLastRequest, readSettledOutcome } from "./settled-outcome.ts";

const log = createLogger("bus-test", process.env.LOG_LEVEL ?? "fatal");
const DIGEST = `sha256:${"ab".repeat(32)}`;
const BODY = { bytes: Buffer.from('{"inputs":[]}') };
const of = (id: string): RequestAddress => ({ tenant: "acme", project: "plant", model: "pump", id });

type Broker = AsyncDisposable & { url: string; passwordOf(user: string): string };

/** A broker with its streams, and connections of the users that have to do with dead letters. */
async function open(broker: Promise<Broker>, replicas: 1 | 3 = 1) {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await broker);
  const as = async (user: UserName) =>
    stack.use(await connectBus({ url: server.url, user, password: server.passwordOf(user), log }));
  const operator = await as("operator");
  await provision(operator, { replicas });
  const [ingest, other, keeper, inference] = [
    await as("ingest"),
    await as("ingest"),
    await as("keeper"),
    await as("inference"),
  ];
  const owned = stack.move();
  return { operator, ingest, other, keeper, inference, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const request = (id: string) => ({
  ...of(id),
  priority: "normal" as const,
  body: BODY,
  rows: 1,
  modelVersion: "1",
  modelDigest: DIGEST,
  correlationId: `order-${id}`,
  principal: "asker",
});

/** Stores the dead letter of an attempt, as a worker does. */
async function dies(inference: Bus, id: string, sequence: number, attempt = 1, expected = 0): Promise<void> {
  const subject = outcomeSubject({ ...of(id), state: "dead" });
  const record: DeadOutcome = {
    id,
    attempt,
    tenant: "acme",
    project: "plant",
    state: "dead",
    model: { name: "pump" },
    reason: reasonOf("model-failed", "a test"),
    deliveries: 1,
    completed_at: new Date().toISOString(),
    request: {
      digest: digestOf(BODY.bytes),
      stream: REQUESTS_TENSOR.name,
      sequence,
      subject: requestSubject({ kind: "tensor", priority: "normal", ...of(id) }),
      accepted_at: new Date().toISOString(),
      principal: "asker",
      correlation_id: `order-${id}`,
    },
  };
  const stored = await inference.store({
    subject,
    exclusive: outcomeFilter(of(id)),
    expected,
    body: encodeDead(record).bytes,
    envelope: {
      id: outcomeId(id, attempt),
      type: InferenceDeadLettered.type,
      source: "/millrace/inference",
      subject,
      time: record.completed_at,
      datacontenttype: "application/json",
      correlationid: `order-${id}`,
    },
  });
  expect(stored.stored).toBe(true);
}

/** A request that died. */
async function deadLetter(ingest: Bus, inference: Bus, id: string): Promise<StoredDeadLetter> {
  const accepted = await publishRequest(ingest, request(id));
  if (accepted.kind !== "accepted") throw new Error(accepted.kind);
  await dies(inference, id, accepted.sequence);
  return (await readDeadLetter(ingest, of(id)))!;
}

const decided = ({ address, sequence, record }: StoredDeadLetter) => ({
  ...address,
  attempt: record.attempt,
  dead_letter_sequence: sequence,
  principal: "operator",
  at: new Date().toISOString(),
});
async function redrive(bus: Bus, dead: StoredDeadLetter, payload?: Buffer): Promise<RedriveDecision> {
  const { after_sequence, original_digest } = await readRedriveBasis(bus, dead);
  return {
    ...decided(dead),
    decision: "redriven",
    priority: "normal",
    next_attempt: dead.record.attempt + 1,
    after_sequence,
    digest: digestOf(payload ?? BODY.bytes),
    rows: 1,
    model_version: "2",
    model_digest: DIGEST,
    edited: payload !== undefined,
    ...(payload ? { original_digest, payload: { base64: payload.toString("base64"), header_length: 2 } } : {}),
  };
}
const discard = (dead: StoredDeadLetter): DiscardDecision => ({
  ...decided(dead),
  decision: "discarded",
  reason: "a test",
});
const stored = async (bus: Bus, stream: string, subjects_filter: string) => {
  const { state } = await bus.jsm.streams.info(stream, { subjects_filter });
  return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
};
const requestsStored = (bus: Bus, id: string) =>
  stored(bus, REQUESTS_TENSOR.name, requestsOf({ kind: "tensor", ...of(id) }));

describe("a redrive", () => {
  it("is completed from its decision alone, by whoever finds it, and by many at once as one request", async () => {
    await using broker = await open(natsServer());
    const { ingest, other, keeper, inference } = broker;
    const dead = await deadLetter(ingest, inference, "alone");
    const payload = Buffer.from("{}\u0000\u0001");
    const { stands } = await decideDeadLetter(ingest, dead, await redrive(ingest, dead, payload));
    if (stands.decision !== "redriven") throw new Error(stands.decision);
    expect((await readSettledOutcome(ingest, of("alone")))?.record.state).toBe("dead");

    const all = await Promise.all([keeper, ingest, other, keeper].map((bus) => completeRedrive(bus, stands)));
    const last = (await readLastRequest(ingest, of("alone")))!;
    for (const done of all) expect(done).toMatchObject({ ok: true, value: { request_sequence: last.sequence } });
    expect(all.filter((done) => done.ok && !done.value.repeated)).toHaveLength(1);
    expect(await requestsStored(broker.operator, "alone")).toBe(2);
    expect(Buffer.from(last.body)).toEqual(payload);
    expect(last.headerLength).toBe(2);
    expect(last.header("ce-principal")).toBe("asker");
    expect(last.header("ce-correlationid")).toBe("order-alone");
    expect(last.header(REQUEST_HEADERS.attempt)).toBe("2");
    expect(last.header(REQUEST_HEADERS.answers)).toBe(String(dead.sequence));
    expect(last.header(REQUEST_HEADERS.originalDigest)).toBe(digestOf(BODY.bytes));
    expect(last.header(REQUEST_HEADERS.modelVersion)).toBe("2");
    expect(JSON.parse(last.header(REQUEST_HEADERS.history)!)).toMatchObject([
      { attempt: 1, sequence: dead.sequence, code: "model-failed" },
    ]);
    expect(await readSettledOutcome(ingest, of("alone"))).toBeUndefined();
  });

  it("goes behind whatever has changed since it was decided, and never behind its own end", async () => {
    await using broker = await open(natsServer());
    const { ingest, keeper, inference, operator } = broker;
    const dead = await deadLetter(ingest, inference, "late");
    const decision = await redrive(ingest, dead);
    await decideDeadLetter(ingest, dead, decision);
    await operator.js.publish(requestSubject({ kind: "tensor", priority: "low", ...of("late") }), "by hand");
    const completed = await completeRedrive(keeper, decision);
    if (!completed.ok) throw new Error(completed.problem.detail);
    expect(await requestsStored(operator, "late")).toBe(3);

    // Its attempt ends and its request is retired; the same redrive again makes no other.
    const sequence = completed.value.request_sequence!;
    await dies(inference, "late", sequence, 2, dead.sequence);
    await operator.jsm.streams.deleteMessage(REQUESTS_TENSOR.name, sequence);
    expect(await completeRedrive(keeper, decision)).toEqual({ ok: true, value: { repeated: true } });
    expect(await requestsStored(operator, "late")).toBe(2);
  });

  it("without its payload, or without its dead letter, says so", async () => {
    await using broker = await open(natsServer());
    const { ingest, inference, operator } = broker;
    const dead = await deadLetter(ingest, inference, "gone");
    const { request } = dead.record;
    expect(Buffer.from((await readDeadLetterPayload(ingest, { request }))!.bytes)).toEqual(BODY.bytes);
    // Another message at the position, as in a stream made anew, is not what died.
    expect(await readDeadLetterPayload(ingest, { request: { ...request, digest: DIGEST } })).toBeUndefined();
    const decision = await redrive(ingest, dead);
    await operator.jsm.streams.deleteMessage(REQUESTS_TENSOR.name, dead.record.request.sequence);
    expect(await completeRedrive(ingest, decision)).toMatchObject({ ok: false, problem: { code: "payload-gone" } });
    expect(await completeRedrive(ingest, { ...decision, id: "nobody" })).toMatchObject({
      ok: false,
      problem: { code: "unknown-dead-letter" },
    });
    // With a payload of its own it needs none.
    const edited = await redrive(ingest, dead, Buffer.from("{}"));
    expect(edited.after_sequence).toBe(0);
    expect(await completeRedrive(ingest, edited)).toMatchObject({ ok: true, value: { repeated: false } });
  });
});

describe("of decisions about one dead letter", () => {
  it("one stands, and every caller is told which", async () => {
    await using broker = await open(natsServer());
    const { ingest, other, inference } = broker;
    const dead = await deadLetter(ingest, inference, "raced");
    const wishes = [discard(dead), await redrive(ingest, dead), await redrive(ingest, dead, Buffer.from("{}"))];
    const all = await Promise.all(
      Array.from({ length: 60 }, (_, i) => decideDeadLetter([ingest, other][i % 2]!, dead, wishes[i % 3]!)),
    );
    expect(all.filter(({ repeated }) => !repeated)).toHaveLength(1);
    expect(new Set(all.map(({ stands }) => JSON.stringify(stands, Object.keys(stands).sort()))).size).toBe(1);
    expect((await readDeadLetter(ingest, of("raced")))?.decision).toEqual(all[0]!.stands);
  });

  const ROUNDS = 40;
  it(`one stands on a cluster of three too, ${ROUNDS} times, and its request is one`, async () => {
    await using broker = await open(natsCluster(), 3);
    const { ingest, other, keeper, inference, operator } = broker;
    let redriven = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const id = `cluster-${round}`;
      const dead = await deadLetter(ingest, inference, id);
      const wish = await redrive(ingest, dead);
      const decisions = await Promise.all([
        decideDeadLetter(ingest, dead, wish),
        decideDeadLetter(other, dead, discard(dead)),
        decideDeadLetter(other, dead, await redrive(other, dead)),
      ]);
      expect(decisions.filter(({ repeated }) => !repeated)).toHaveLength(1);
      expect(new Set(decisions.map(({ stands }) => stands.decision)).size).toBe(1);
      expect(await stored(operator, EVENTS.name, `evt.acme.plant.dead-letter.pump.${id}.1`)).toBe(1);
      const { stands } = decisions[0]!;
      if (stands.decision !== "redriven") continue;
      redriven++;
      await Promise.all([ingest, other, keeper].map((bus) => completeRedrive(bus, stands)));
      expect(await requestsStored(operator, id)).toBe(2);
    }
    console.info(`${redriven} of ${ROUNDS} were won by a redrive`);
  }, 120_000);
});
