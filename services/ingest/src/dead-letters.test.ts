import { setTimeout } from "node:timers/promises";
import { decideDeadLetter, readDeadLetter, readRedriveBasis } from "@millrace/bus";
import {
  type DeadLetter,
  type DeadLetterPage,
  type DecisionResult,
  type DecisionResults,
  digestOf,
  EVENTS,
  OUTCOMES,
  type ProblemDocument,
  REQUESTS_TENSOR,
  type RequestState,
  requestSubject,
  requestsOf,
  type Submission,
} from "@millrace/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openOutcomeWaits } from "./adapters/outcome-waits.ts";
import { redriveDecision } from "./domain/dead-letters/decisions.ts";
import { connectAs, eventually, type Ingest, json, POISON, SUM, startIngest } from "./testing/ingest.ts";

const MODEL = SUM.manifest.name;
const PROJECT = "/v1/acme/plant";
const body = (...data: number[]) => ({
  inputs: [{ name: "reading", datatype: "FP32", shape: [1, 3], data: [...data, 0, 0, 0].slice(0, 3) }],
});

const stack = new AsyncDisposableStack();
let ingest: Ingest;
let worker: AsyncDisposable | undefined;

beforeAll(async () => {
  ingest = stack.use(await startIngest());
  stack.defer(() => rest());
});
afterAll(() => stack.disposeAsync());

const work = async () => {
  worker ??= await ingest.work();
};
/** Stops the worker, so that what is asked stays pending. */
const rest = async () => {
  await worker?.[Symbol.asyncDispose]();
  worker = undefined;
};

const post = (path: string, content: unknown = {}, headers: Record<string, string> = {}) =>
  ingest.call(PROJECT + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(content),
  });
const submit = (content: unknown, headers: Record<string, string> = {}) =>
  post(`/models/${MODEL}/requests`, content, headers);
const stateOf = (id: string) => json<RequestState>(ingest.call(`${PROJECT}/models/${MODEL}/requests/${id}`));
const outcomeOf = (id: string, attempt = 1) =>
  eventually(`attempt ${attempt} of ${id}`, async () => {
    const { outcome } = await stateOf(id);
    return outcome && outcome.attempt >= attempt ? outcome : undefined;
  });
const deadLetter = (id: string) => `/models/${MODEL}/dead-letters/${id}`;
const show = (id: string) => ingest.call(PROJECT + deadLetter(id));
const redrive = (id: string, order: object = {}) => post(`${deadLetter(id)}/redrive`, order);
const discard = (id: string, order: object = { reason: "a test" }) => post(`${deadLetter(id)}/discard`, order);
const list = (query = "") => json<DeadLetterPage>(ingest.call(`${PROJECT}/dead-letters${query}`));
const code = async (answer: Response | Promise<Response>) => (await json<ProblemDocument>(answer)).code;

/** A request that dies, and its dead letter. */
async function die(headers: Record<string, string> = {}): Promise<DeadLetter> {
  await work();
  const { id } = await json<Submission>(submit(body(POISON), headers));
  await outcomeOf(id);
  return await json<DeadLetter>(show(id));
}

/** A request published to the stream by hand, and its dead letter. */
async function dieByHand(id: string, bytes: Uint8Array): Promise<void> {
  await work();
  const of = { kind: "tensor", priority: "normal", tenant: "acme", project: "plant", model: MODEL, id } as const;
  await ingest.operator.js.publish(requestSubject(of), bytes);
  await outcomeOf(id);
}

const sequences = async () =>
  await Promise.all(
    [REQUESTS_TENSOR, OUTCOMES, EVENTS].map(async ({ name }) => {
      const { state } = await ingest.operator.jsm.streams.info(name);
      return [name, state.last_seq, state.messages];
    }),
  );
const requestsStored = async (id: string) => {
  const subjects_filter = requestsOf({ kind: "tensor", tenant: "acme", project: "plant", model: MODEL, id });
  const { state } = await ingest.operator.jsm.streams.info(REQUESTS_TENSOR.name, { subjects_filter });
  return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
};

describe("looking", () => {
  test("a dead letter is listed with its reason, shown with its claim check, and its payload is what died", async () => {
    const died = await die();
    expect(died).toMatchObject({ state: "open", outcome: { attempt: 1, reason: { code: "model-failed" } } });
    const { dead_letters } = await list(`?model=${MODEL}&code=model-failed`);
    expect(dead_letters.map(({ outcome }) => outcome.id)).toContain(died.outcome.id);

    const payload = await ingest.call(`${PROJECT}${deadLetter(died.outcome.id)}/payload`);
    expect(payload.headers.get("content-type")).toBe("application/octet-stream");
    const bytes = Buffer.from(await payload.arrayBuffer());
    expect(digestOf(bytes)).toBe(died.outcome.request.digest);
    expect(bytes.byteLength).toBe(died.outcome.payload?.size_bytes);
  });

  test("what is done, or not there, is no dead letter", async () => {
    await work();
    const { id } = await json<Submission>(submit(body(1)));
    expect((await outcomeOf(id)).state).toBe("done");
    for (const answer of [show(id), show("nobody"), redrive(id), discard(id)])
      expect(await code(answer)).toBe("unknown-dead-letter");
  });

  test("pages go on where the last one ended, and filters narrow them", async () => {
    const before = Date.now();
    const died: string[] = [];
    for (let i = 0; i < 5; i++) died.push((await die()).outcome.id);
    await dieByHand("garbage-listed", Buffer.from([0xff]));
    const from = new Date(before).toISOString();

    const listed: string[] = [];
    let after = 0;
    for (let page = 0; page < 10; page++) {
      const { dead_letters, next } = await list(`?limit=2&after=${after}&from=${from}&code=model-failed`);
      listed.push(...dead_letters.map(({ outcome }) => outcome.id));
      if (next === undefined) break;
      after = next;
    }
    expect(listed).toEqual(died);
    expect((await list(`?from=${from}&code=malformed-message`)).dead_letters).toHaveLength(1);
    expect((await list(`?to=${new Date(before - 600_000).toISOString()}`)).dead_letters).toEqual([]);
    expect((await list(`?model=nobody`)).dead_letters).toEqual([]);
    expect(await code(ingest.call(`${PROJECT}/dead-letters?from=yesterday`))).toBe("invalid-query");
  });

  test("a token without the verb may look and not decide", async () => {
    const { outcome } = await die();
    const headers = { authorization: "Bearer token-that-reads" };
    expect((await ingest.call(PROJECT + deadLetter(outcome.id), { headers })).status).toBe(200);
    for (const path of ["/dead-letters/redrive", `${deadLetter(outcome.id)}/discard`])
      expect((await post(path, { reason: "x" }, headers)).status).toBe(403);
  });
});

describe("redrive", () => {
  test("an edited payload runs as the next attempt; the original key and body are still the same job", async () => {
    const key = { "idempotency-key": "edited" };
    const { outcome, sequence } = await die(key);
    const { id } = outcome;
    await rest();
    const result = await json<DecisionResult>(redrive(id, { payload: body(1, 2, 3), reason: "a sensor was stuck" }));
    expect(result).toMatchObject({ result: "redriven", attempt: 1, dead_letter_sequence: sequence });

    // Pending again, for whoever asks, submits again or listens.
    expect(await stateOf(id)).toEqual({ id, state: "pending", outcome: null });
    const again = await submit(body(POISON), key);
    expect(again.status).toBe(202);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(await json<Submission>(again)).toMatchObject({ id, state: "pending", repeated: true });
    expect(await code(submit(body(1, 2, 3), key))).toBe("idempotency-conflict");
    expect((await json<DeadLetter>(show(id))).state).toBe("redriven");

    const events = await ingest.call(`${PROJECT}/models/${MODEL}/requests/${id}/events`);
    const waiting = submit(body(POISON), { ...key, prefer: "wait=10" });
    const inferring = ingest.call(`${PROJECT}/v2/models/${MODEL}/infer`, {
      method: "POST",
      headers: { "content-type": "application/json", ...key },
      body: JSON.stringify(body(POISON)),
    });
    await work();
    expect(await json<RequestState>(waiting)).toMatchObject({ state: "done", outcome: { attempt: 2 } });
    expect((await inferring).status).toBe(200);
    const told = await events.text();
    expect(told.indexOf("event: pending")).toBeLessThan(told.indexOf("event: done"));
    expect(told).not.toContain("event: dead");

    const ended = await outcomeOf(id, 2);
    expect(ended).toMatchObject({
      state: "done",
      attempt: 2,
      request: { principal: "alice", correlation_id: id, sequence: result.request_sequence },
      previous: [{ attempt: 1, sequence, code: "model-failed" }],
    });
    expect(ended.request.digest).not.toBe(outcome.request.digest);
    expect(await code(show(id))).toBe("unknown-dead-letter");
    expect((await list("?state=all")).dead_letters.map((it) => it.outcome.id)).not.toContain(id);
    expect(await json<Submission>(submit(body(POISON), key))).toMatchObject({ id, state: "done", repeated: true });
  });

  test("who begins to wait after a redrive waits for its outcome, though others have theirs", async () => {
    const bus = stack.use(await connectAs(ingest.nats, "ingest"));
    using waits = openOutcomeWaits(bus, { look_ms: 100 });
    await work();
    const { id } = await json<Submission>(submit(body(POISON)));
    const of = { tenant: "acme", project: "plant", model: MODEL, id };
    using first = waits.begin(of);
    first.look();
    expect((await first.outcome({ timeout_ms: 5_000 }))?.record).toMatchObject({ state: "dead", attempt: 1 });
    await rest();
    await redrive(id, { payload: body(1) });
    using second = waits.begin(of);
    second.look();
    expect(await second.outcome({ timeout_ms: 300 })).toBeUndefined();
    await work();
    expect((await second.outcome({ timeout_ms: 5_000 }))?.record).toMatchObject({ state: "done", attempt: 2 });
    expect((await first.outcome({ timeout_ms: 0 }))?.record.attempt).toBe(1);
  });

  test("the original runs byte for byte, and may die again; its attempts stay linked", async () => {
    const { outcome } = await die();
    const { id } = outcome;
    for (let attempt = 1; attempt < 4; attempt++) {
      const { sequence } = await json<DeadLetter>(show(id));
      expect((await redrive(id, { sequence })).status).toBe(200);
      const next = await outcomeOf(id, attempt + 1);
      expect(next).toMatchObject({ state: "dead", attempt: attempt + 1, request: { digest: outcome.request.digest } });
      expect(next.previous?.map((it) => it.attempt)).toEqual(Array.from({ length: attempt }, (_, i) => i + 1));
    }
    // Said of the first dead letter, the order is the one of then; it is not about the fourth.
    const { sequence } = await json<DeadLetter>(show(id));
    const first = (await stateOf(id)).outcome!.previous![0]!;
    expect(await json<DecisionResult>(redrive(id, { sequence: first.sequence }))).toMatchObject({
      result: "redriven",
      attempt: 1,
      repeated: true,
    });
    expect(await code(discard(id, { sequence: first.sequence, reason: "x" }))).toBe("dead-letter-decided");
    expect((await json<DeadLetter>(show(id))).sequence).toBe(sequence);
    const open = (await list()).dead_letters.filter((it) => it.outcome.id === id);
    expect(open.map((it) => it.outcome.attempt)).toEqual([4]);
  });

  test("the same call again is the same attempt; another payload is refused", async () => {
    const { outcome } = await die();
    await rest();
    const first = await json<DecisionResult>(redrive(outcome.id));
    const second = await json<DecisionResult>(redrive(outcome.id));
    expect(second).toEqual({ ...first, repeated: true });
    expect(await code(redrive(outcome.id, { payload: body(1) }))).toBe("dead-letter-decided");
    expect(await code(redrive(outcome.id, { priority: "low" }))).toBe("dead-letter-decided");
    expect(await code(discard(outcome.id))).toBe("dead-letter-decided");
    expect(await requestsStored(outcome.id)).toBe(2);
  });

  test("a dead letter that was replaced, or a payload that would die again, is refused before anything is stored", async () => {
    const { outcome, sequence } = await die();
    await dieByHand("garbage-redriven", Buffer.from([0xff, 0x00]));
    await rest();
    const before = await sequences();
    expect(await code(redrive(outcome.id, { sequence: sequence + 1 }))).toBe("dead-letter-replaced");
    expect(await code(redrive(outcome.id, { payload: { inputs: "none" } }))).toBe("malformed-body");
    expect(await code(redrive(outcome.id, { payload: body(1), colour: "red" }))).toBe("malformed-body");
    const wrong = body(1);
    wrong.inputs[0]!.name = "letters";
    expect(await code(redrive(outcome.id, { payload: wrong }))).toBe("unknown-input");
    const garbage = await json<ProblemDocument>(redrive("garbage-redriven"));
    expect(garbage).toMatchObject({ code: "malformed-json", detail: expect.stringContaining("would die again") });
    expect(await sequences()).toEqual(before);

    expect((await redrive("garbage-redriven", { payload: body(5) })).status).toBe(200);
    await work();
    expect(await outcomeOf("garbage-redriven", 2)).toMatchObject({ state: "done" });
  });

  test("without its original a dead letter runs with another payload, or not at all", async () => {
    const { outcome } = await die({ "idempotency-key": "gone" });
    await ingest.operator.jsm.streams.deleteMessage(REQUESTS_TENSOR.name, outcome.request.sequence);
    expect(await code(redrive(outcome.id))).toBe("payload-gone");
    expect(await code(ingest.call(`${PROJECT}${deadLetter(outcome.id)}/payload`))).toBe("payload-gone");
    expect((await redrive(outcome.id, { payload: body(1, 1, 1) })).status).toBe(200);
    expect(await outcomeOf(outcome.id, 2)).toMatchObject({ state: "done" });
    expect(await json<Submission>(submit(body(POISON), { "idempotency-key": "gone" }))).toMatchObject({
      id: outcome.id,
      repeated: true,
    });
  });

  test("interrupted between decision and request, the same call completes it, and so does a call for many", async () => {
    const bus = await connectAs(ingest.nats, "ingest");
    stack.use(bus);
    /** The first half of a redrive, as a process leaves it that is killed behind it. */
    const interrupted = async (edited?: object) => {
      const { outcome } = await die();
      const of = { tenant: "acme", project: "plant", model: MODEL, id: outcome.id };
      const stored = (await readDeadLetter(bus, of))!;
      const decision = redriveDecision(stored, await readRedriveBasis(bus, stored), SUM, {
        principal: "killed",
        ...(edited ? { payload: { bytes: Buffer.from(JSON.stringify(edited)) } } : {}),
        at: new Date().toISOString(),
      });
      if (!decision.ok) throw new Error(decision.problem.detail);
      await decideDeadLetter(bus, stored, decision.value);
      return outcome.id;
    };
    const [one, other, edited] = [await interrupted(), await interrupted(), await interrupted(body(1, 2))];
    await rest();
    expect((await stateOf(one)).state).toBe("dead");
    expect(await json<DecisionResult>(redrive(one))).toMatchObject({ result: "redriven", repeated: true });
    const many = await json<DecisionResults>(post("/dead-letters/redrive", { limit: 1_000 }));
    expect(many.results.find(({ id }) => id === other)).toMatchObject({ result: "redriven", repeated: true });
    expect(many.results.find(({ id }) => id === edited)).toMatchObject({ result: "redriven", repeated: true });
    expect(many.results.map(({ id }) => id)).not.toContain(one);
    for (const id of [one, other, edited]) {
      expect((await stateOf(id)).state).toBe("pending");
      expect(await requestsStored(id)).toBe(2);
    }
    await work();
    for (const id of [one, other]) expect((await outcomeOf(id, 2)).state).toBe("dead");
    expect((await outcomeOf(edited, 2)).state).toBe("done");
  });
});

test("a discarded dead letter rests: out of the list, its outcome unchanged, never redriven", async () => {
  const { outcome } = await die();
  expect(await code(discard(outcome.id, {}))).toBe("malformed-body");
  expect(await json<DecisionResult>(discard(outcome.id))).toMatchObject({ result: "discarded" });
  expect(await json<DecisionResult>(discard(outcome.id))).toMatchObject({ result: "discarded", repeated: true });
  expect(await code(redrive(outcome.id))).toBe("dead-letter-decided");
  expect((await list()).dead_letters.map((it) => it.outcome.id)).not.toContain(outcome.id);
  const { dead_letters } = await list("?state=discarded");
  expect(dead_letters.find((it) => it.outcome.id === outcome.id)?.decision).toMatchObject({
    reason: "a test",
    principal: "alice",
  });
  expect((await stateOf(outcome.id)).outcome).toEqual(outcome);
  const metrics = await (await ingest.call("/metrics")).text();
  expect(metrics).toMatch(/millrace_dead_letter_decisions_total\{.*decision="discarded".*\} \d/);
});

test("a dry run says what would happen and stores nothing", async () => {
  const { outcome } = await die();
  await dieByHand("garbage-dry", Buffer.from([0xff]));
  await rest();
  const before = await sequences();
  const dry_run = true;
  expect(await json(redrive(outcome.id, { dry_run, payload: body(1) }))).toMatchObject({ result: "would-redrive" });
  expect(await json(discard(outcome.id, { dry_run, reason: "x" }))).toMatchObject({ result: "would-discard" });
  const many = await json<DecisionResults>(post("/dead-letters/redrive", { dry_run, limit: 1_000 }));
  expect(many.results.find(({ id }) => id === outcome.id)?.result).toBe("would-redrive");
  expect(many.results.find(({ id }) => id === "garbage-dry")).toMatchObject({
    result: "refused",
    problem: { code: "malformed-json" },
  });
  await post("/dead-letters/discard", { dry_run, reason: "x", limit: 1_000 });
  expect(await sequences()).toEqual(before);
});

test("many are decided oldest first, within the limit, each by itself", async () => {
  await post("/dead-letters/discard", { reason: "those of other tests", limit: 1_000 });
  const died: string[] = [];
  for (let i = 0; i < 40; i++) died.push((await die()).outcome.id);
  await dieByHand("garbage-many", Buffer.from([0xff]));
  await rest();
  const first = await json<DecisionResults>(post("/dead-letters/redrive", { limit: 25, filter: { model: MODEL } }));
  expect(first).toMatchObject({ matched: 25, more: true });
  expect(first.results.map(({ id }) => id)).toEqual(died.slice(0, 25));
  expect(new Set(first.results.map(({ result }) => result))).toEqual(new Set(["redriven"]));

  const second = await json<DecisionResults>(post("/dead-letters/redrive", { after: first.next }));
  expect(second.results.map(({ id, result }) => [id, result])).toEqual([
    ...died.slice(25).map((id) => [id, "redriven"]),
    ["garbage-many", "refused"],
  ]);
  expect(second.more).toBe(false);
  const rested = await json<DecisionResults>(
    post("/dead-letters/discard", { reason: "no request", filter: { code: "malformed-message" } }),
  );
  expect(rested.results.map(({ id }) => id)).toEqual(["garbage-many"]);
  for (const id of died) expect(await requestsStored(id)).toBe(2);
});

describe("races", () => {
  const ROUNDS = 100;
  const TIMEOUT_MS = 60_000;
  /** Dead letters, and nobody who works on them. */
  const many = async () => {
    const died = await Promise.all(Array.from({ length: ROUNDS }, (_, round) => submit(body(POISON, round))));
    await work();
    const ids = await Promise.all(died.map(async (answer) => (await json<Submission>(answer)).id));
    for (const id of ids) await outcomeOf(id);
    await rest();
    return ids;
  };

  test(
    `redrive against discard, and redrives with different payloads: exactly one wins, ${ROUNDS} times`,
    async () => {
      const ids = await many();
      const won = { redriven: 0, discarded: 0 };
      for (const [round, id] of ids.entries()) {
        const answers = await Promise.all([
          redrive(id, { payload: body(1) }),
          // A redrive looks at more before it decides; without a head start it would hardly ever win.
          setTimeout(round % 4).then(() => discard(id)),
          redrive(id, { payload: body(2) }),
        ]);
        const statuses = answers.map(({ status }) => status).sort();
        expect(statuses).toEqual([200, 409, 409]);
        const { result } = await json<DecisionResult>(answers.find(({ ok }) => ok)!);
        won[result as keyof typeof won]++;
        expect(await requestsStored(id)).toBe(result === "redriven" ? 2 : 1);
      }
      console.info(`of ${ROUNDS} races, ${won.redriven} were won by a redrive and ${won.discarded} by the discard`);
    },
    TIMEOUT_MS,
  );

  test(
    `the same redrive from several callers at once is one request, ${ROUNDS} times`,
    async () => {
      const ids = await many();
      for (const id of ids) {
        const answers = await Promise.all([redrive(id), redrive(id), redrive(id)]);
        const results = await Promise.all(answers.map((answer) => json<DecisionResult>(answer)));
        expect(new Set(results.map(({ request_sequence }) => request_sequence)).size).toBe(1);
        expect(results.filter(({ repeated }) => !repeated)).toHaveLength(1);
        expect(await requestsStored(id)).toBe(2);
      }
      await work();
      for (const id of ids) expect((await outcomeOf(id, 2)).attempt).toBe(2);
    },
    TIMEOUT_MS,
  );
});
