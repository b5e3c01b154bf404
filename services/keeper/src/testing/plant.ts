import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { ask, type Bus, connectBus, provision, publishRequest, recordDurability, scan } from "@millrace/bus";
import {
  CHECK_SUBJECT,
  type CheckReport,
  consumerName,
  type DeadOutcome,
  encodeDead,
  encodeDone,
  freshRequestId,
  InferenceCompleted,
  InferenceDeadLettered,
  OUTCOME_HEADERS,
  type OutcomeState,
  outcomeFilter,
  outcomeId,
  outcomeSubject,
  parseRequestSubject,
  REQUEST_HEADERS,
  reasonOf,
} from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { doneRecord, eventually, natsServer } from "@millrace/testkit";

const log = createLogger("keeper-test", process.env.LOG_LEVEL ?? "fatal");

export const PLACE = { tenant: "acme", project: "plant", model: "pump" } as const;
export const LANE = consumerName.lane({ kind: "tensor", priority: "normal", tenant: "acme", model: "pump" });

/** What a worker does with one request. `forget`: acknowledges it without an outcome, as no worker may. */
export type Deed = OutcomeState | "forget" | "leave";

export type Plant = Awaited<ReturnType<typeof openPlant>>;

/** A broker with everything that the keeper looks at, and hands to make and to break it. */
export async function openPlant() {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await natsServer());
  const dir = await mkdtemp(path.join(tmpdir(), "millrace-keeper-"));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  const as = async (user: string) =>
    stack.use(await connectBus({ url: server.url, user, password: server.passwordOf(user), log }));
  const operator = await as("operator");
  await provision(operator, { replicas: 1 });
  await recordDurability(operator, { syncAlways: true, replicas: 1, evidence: "test" });
  const [ingest, inference] = [await as("ingest"), await as("inference")];
  await createConsumer(operator, "REQUESTS_TENSOR", {
    durable_name: LANE,
    filter_subject: "req.tensor.normal.acme.*.pump.*",
  });
  const owned = stack.move();

  return {
    server,
    operator,
    ingest,
    ledgerFile: path.join(dir, "ledger.sqlite"),
    /** Stores so many requests; answers their ids. */
    async submit(count: number): Promise<string[]> {
      const ids = Array.from({ length: count }, () => freshRequestId());
      await Promise.all(
        ids.map((id) =>
          publishRequest(ingest, {
            ...PLACE,
            id,
            priority: "normal",
            body: { bytes: Buffer.from(`{"inputs":[],"of":"${id}"}`) },
            rows: 1,
            modelVersion: "1",
            modelDigest: `sha256:${"ab".repeat(32)}`,
            correlationId: id,
          }),
        ),
      );
      return ids;
    },
    /** Gives what waits in the lane, at most so many, to a worker; answers what it did, by id. */
    work: (deed: (id: string, attempt: number) => Deed, max = 1_000) => work(operator, inference, deed, max),
    /** A consumer of outcomes that acknowledges all of them, as one of this name. */
    async receive(name: string, options: Record<string, unknown> = {}): Promise<void> {
      await createConsumer(operator, "OUTCOMES", { durable_name: name, ...options });
      const consumer = await operator.js.consumers.get("OUTCOMES", name);
      for (;;) {
        const { num_pending } = await consumer.info();
        if (num_pending === 0) return;
        for await (const message of await consumer.fetch({ max_messages: Math.min(num_pending, 500), expires: 2_000 }))
          message.ack();
        await operator.nc.flush();
      }
    },
    check: () => ask<CheckReport>(ingest, CHECK_SUBJECT, {}, 60_000),
    /** The positions that a stream holds. */
    async sequences(stream: string): Promise<number[]> {
      const { state } = await operator.jsm.streams.info(stream);
      const found: number[] = [];
      for await (const batch of scan(operator, { stream, through: state.last_seq }))
        found.push(...batch.map(({ sequence }) => sequence));
      return found;
    },
    /** Waits until a stream holds so many messages. */
    untilHolds: (stream: string, messages: number, within_ms = 20_000) =>
      eventually(
        async () => {
          const { state } = await operator.jsm.streams.info(stream);
          if (state.messages !== messages) throw new Error(`${stream} holds ${state.messages}, not ${messages}`);
        },
        { within_ms, every_ms: 50 },
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function createConsumer(operator: Bus, stream: string, config: Record<string, unknown>): Promise<void> {
  const name = String(config.durable_name);
  const question = {
    stream_name: stream,
    config: { ack_policy: "explicit", deliver_policy: "all", max_ack_pending: 100_000, name, ...config },
  };
  const filter = config.filter_subject === undefined ? "" : `.${String(config.filter_subject)}`;
  const reply = await operator.nc.request(
    `$JS.API.CONSUMER.CREATE.${stream}.${name}${filter}`,
    JSON.stringify(question),
  );
  const { error } = reply.json<{ error?: { description: string } }>();
  if (error) throw new Error(error.description);
}

async function work(operator: Bus, inference: Bus, deed: (id: string, attempt: number) => Deed, max: number) {
  const consumer = await operator.js.consumers.get("REQUESTS_TENSOR", LANE);
  const { num_pending } = await consumer.info();
  const wanted = Math.min(num_pending, max);
  const done = new Map<string, Deed>();
  if (wanted === 0) return done;
  const storing: Promise<void>[] = [];
  for await (const message of await consumer.fetch({ max_messages: wanted, expires: 10_000 })) {
    const of = parseRequestSubject(message.subject)!;
    const attempt = Number(message.headers?.get(REQUEST_HEADERS.attempt) || 1);
    const expected = Number(message.headers?.get(REQUEST_HEADERS.answers) || 0);
    const what = deed(of.id, attempt);
    done.set(of.id, what);
    const settle = async () => {
      if (what === "done" || what === "dead")
        await storeOutcome(inference, of.id, what, { attempt, expected, sequence: message.seq });
      if (what !== "leave") message.ack();
    };
    storing.push(settle());
  }
  await Promise.all(storing);
  await operator.nc.flush();
  return done;
}

async function storeOutcome(
  inference: Bus,
  id: string,
  state: OutcomeState,
  at: { attempt: number; expected: number; sequence: number },
): Promise<void> {
  const { attempt, expected, sequence } = at;
  const of = { ...PLACE, id };
  const record = doneRecord({ id, attempt });
  const request = { ...record.request, sequence };
  const dead: DeadOutcome = {
    ...{ id, attempt, request, tenant: PLACE.tenant, project: PLACE.project },
    completed_at: record.completed_at,
    state: "dead",
    model: { name: PLACE.model },
    reason: reasonOf("model-failed", "as the test asks"),
    deliveries: 1,
  };
  const { bytes } = state === "done" ? encodeDone({ ...record, request }, "json") : encodeDead(dead);
  const subject = outcomeSubject({ ...of, state });
  const stored = await inference.store({
    subject,
    exclusive: outcomeFilter(of),
    expected,
    body: bytes,
    headers: { [OUTCOME_HEADERS.request]: `REQUESTS_TENSOR:${sequence}` },
    envelope: {
      id: outcomeId(id, attempt),
      type: state === "done" ? InferenceCompleted.type : InferenceDeadLettered.type,
      source: "/millrace/inference",
      subject,
      time: record.completed_at,
      datacontenttype: "application/json",
      correlationid: id,
    },
  });
  if (!stored.stored) throw new Error(`${subject} was stored before`);
}
