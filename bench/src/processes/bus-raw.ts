/**
 * The baseline of the `bus` benchmark: the same job written straight on the `nats` package, as someone would who needs
 * exactly this and nothing else: no dead letters, no retries, no redelivery limit, no other shapes of message. It gives the same
 * promises: durable consumer, digest checked, outcome under compare-and-set, ack only after it is stored.
 */
import { createHash, randomUUID } from "node:crypto";
import { InferenceCompleted, InferenceRequested, inboxPrefix, OUTCOMES, REQUESTS_TENSOR } from "@millrace/contracts";
import { AckPolicy, connect, DeliverPolicy, headers, type JsMsg, type MsgHdrs, nanos } from "nats";
import { serve } from "../room/worker.ts";
import { DIGEST, IN_FLIGHT_MAX, newRequest, OUTPUT, PROJECT, TENANT } from "./bus-job.ts";
import { concurrently } from "./concurrently.ts";

const { BENCH_NATS_URL: servers = "", BENCH_NATS_USER: user = "", BENCH_NATS_PASSWORD: pass = "" } = process.env;
const nc = await connect({ servers, user, pass, inboxPrefix: inboxPrefix(user) });
const js = nc.jetstream();
const jsm = await nc.jetstreamManager();

const jobs = {
  /** One publish per outcome, `IN_FLIGHT_MAX` of them on the way at once. */
  async drain({ model, messages }: { model: string; messages: number }): Promise<number> {
    const started = performance.now();
    const consumer = await durable(model);
    const pull = await consumer.consume({ max_messages: IN_FLIGHT_MAX * 2 });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let settled = 0;
    let inFlight = 0;
    let wake = () => {};
    const settle = async (message: JsMsg) => {
      const outcome = toOutcome(message, model);
      await js.publish(outcome.subject, outcome.body, { headers: outcome.headers });
      message.ack();
      inFlight--;
      wake();
      settled++;
      if (settled === messages) {
        pull.stop();
        resolve();
      }
    };
    for await (const message of pull) {
      inFlight++;
      settle(message).catch(reject);
      if (inFlight >= IN_FLIGHT_MAX)
        await new Promise<void>((free) => {
          wake = free;
        });
    }
    await promise;
    await nc.flush();
    return performance.now() - started;
  },

  /** Outcomes committed as atomic batches of what came in meanwhile, two of them under way at once. */
  async drainBatched({ model, messages }: { model: string; messages: number }): Promise<number> {
    const started = performance.now();
    const consumer = await durable(model);
    const pull = await consumer.consume({ max_messages: IN_FLIGHT_MAX * 2 });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: JsMsg[] = [];
    let commits = 0;
    let settled = 0;
    let scheduled = false;
    const settle = async (batch: readonly JsMsg[]) => {
      await commit(batch.map((message) => toOutcome(message, model)));
      for (const message of batch) message.ack();
      commits--;
      settled += batch.length;
      if (settled === messages) {
        pull.stop();
        resolve();
      } else pump();
    };
    const pump = () => {
      scheduled = false;
      while (commits < 2 && waiting.length > 0) {
        commits++;
        settle(waiting.splice(0, IN_FLIGHT_MAX)).catch(reject);
      }
    };
    for await (const message of pull) {
      waiting.push(message);
      if (scheduled) continue;
      scheduled = true;
      setImmediate(pump);
    }
    await promise;
    await nc.flush();
    return performance.now() - started;
  },

  /** Stores new requests one publish each, so many at once. */
  async publish({ model, messages, atOnce }: { model: string; messages: number; atOnce: number }): Promise<number> {
    const started = performance.now();
    await concurrently(messages, atOnce, async () => {
      const { id, body } = newRequest(model);
      const subject = `req.tensor.normal.${TENANT}.${PROJECT}.${model}.${id}`;
      const all = envelope({ id, type: InferenceRequested.type, subject, correlation: "bench" });
      all.set("millrace-digest", `sha256:${createHash("sha256").update(body.bytes).digest("hex")}`);
      all.set("millrace-rows", "1");
      all.set("millrace-model-version", "1");
      all.set("millrace-model-digest", DIGEST);
      expectNone(all, `req.tensor.*.${TENANT}.${PROJECT}.${model}.${id}`);
      await js.publish(subject, body.bytes, { headers: all });
    });
    return performance.now() - started;
  },
};
export type RawJobs = typeof jobs;

serve(jobs, () => nc.drain());

async function durable(model: string) {
  const name = `raw-${model}`;
  await jsm.consumers.add(REQUESTS_TENSOR.name, {
    durable_name: name,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: nanos(30_000),
    max_ack_pending: 10_000,
    filter_subject: `req.tensor.*.*.*.${model}.*`,
  });
  return js.consumers.get(REQUESTS_TENSOR.name, name);
}

type Stored = { subject: string; body: Uint8Array; headers: MsgHdrs };

/** The bytes that `bus` writes: canonical JSON, its keys in order by hand. */
function toOutcome(message: JsMsg, model: string): Stored {
  const [, , , tenant = "", project = "", , id = ""] = message.subject.split(".");
  const asked = (name: string) => message.headers?.get(name) ?? "";
  const digest = `sha256:${createHash("sha256").update(message.data).digest("hex")}`;
  if (digest !== asked("millrace-digest")) throw new Error(`${message.subject} has another digest than it says`);
  const now = new Date().toISOString();
  const record = {
    attempt: 1,
    completed_at: now,
    id,
    model: { digest: DIGEST, name: model, version: "1" },
    outputs: [{ data: Array.from(OUTPUT.data), datatype: OUTPUT.datatype, name: OUTPUT.name, shape: OUTPUT.shape }],
    project,
    request: {
      accepted_at: asked("ce-time"),
      correlation_id: asked("ce-correlationid"),
      digest,
      rows: Number(asked("millrace-rows")),
      sequence: message.seq,
      stream: message.info.stream,
      subject: message.subject,
    },
    runtime: { backend: "none", version: "0" },
    state: "done",
    tenant,
    timing: { batch_rows: 1, compute_ms: 0, started_at: now },
  };
  const subject = `out.${tenant}.${project}.${model}.${id}.done`;
  const all = envelope({
    id: `${id}.1`,
    type: InferenceCompleted.type,
    subject,
    correlation: record.request.correlation_id,
  });
  expectNone(all, `out.${tenant}.${project}.${model}.${id}.*`);
  return { subject, body: Buffer.from(JSON.stringify(record)), headers: all };
}

function envelope(of: { id: string; type: string; subject: string; correlation: string }): MsgHdrs {
  const all = headers();
  all.set("ce-specversion", "1.0");
  all.set("ce-id", of.id);
  all.set("ce-type", of.type);
  all.set("ce-source", "/millrace/raw");
  all.set("ce-subject", of.subject);
  all.set("ce-time", new Date().toISOString());
  all.set("ce-correlationid", of.correlation);
  all.set("content-type", "application/json");
  return all;
}

function expectNone(all: MsgHdrs, filter: string): void {
  all.set("Nats-Expected-Last-Subject-Sequence", "0");
  all.set("Nats-Expected-Last-Subject-Sequence-Subject", filter);
}

/** One atomic batch (ADR-50). */
async function commit(messages: readonly Stored[]): Promise<void> {
  const id = randomUUID();
  const last = messages.length - 1;
  let first: Promise<unknown> | undefined;
  for (const [index, message] of messages.entries()) {
    message.headers.set("Nats-Batch-Id", id);
    message.headers.set("Nats-Batch-Sequence", String(index + 1));
    if (index === last) {
      message.headers.set("Nats-Batch-Commit", "1");
      const reply = await nc.request(message.subject, message.body, { headers: message.headers, timeout: 5_000 });
      const ack = reply.json<{ error?: { description: string }; count?: number }>();
      if (ack.error || ack.count !== messages.length)
        throw new Error(`a batch on ${OUTCOMES.name} was refused: ${ack.error?.description}`);
    } else if (index === 0) {
      first = nc.request(message.subject, message.body, { headers: message.headers, timeout: 5_000 });
    } else nc.publish(message.subject, message.body, { headers: message.headers });
  }
  await first;
}
