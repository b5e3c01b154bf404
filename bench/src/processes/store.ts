/** Stores single requests: through `bus`, as ingest does, and by a bare publish of the `nats` package. */
import { connectBus, publishRequest } from "@millrace/bus";
import { digestOf, InferenceRequested, requestSubject, requestsOf } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { headers } from "nats";
import { serve } from "../room/worker.ts";
import { DIGEST, newRequest } from "./bus-job.ts";

const { BENCH_NATS_URL: url = "", BENCH_NATS_USER: user = "", BENCH_NATS_PASSWORD: password = "" } = process.env;
const bus = await connectBus({ url, user, password, log: createLogger("bench", "warn") });

const store = async (): Promise<void> => {
  const accepted = await publishRequest(bus, newRequest("lone"));
  if (accepted.kind !== "accepted" || accepted.repeated) throw new Error("a fresh request was not stored");
};

/** The same message with the same headers, condition and digest. */
const publish = async (): Promise<void> => {
  const { body, modelDigest: _, ...request } = newRequest("lone");
  const of = { kind: "tensor", ...request } as const;
  const all = headers();
  const set = (name: string, value: string) => all.append(name, value);
  const subject = requestSubject(of);
  set("Nats-Expected-Last-Subject-Sequence", "0");
  set("Nats-Expected-Last-Subject-Sequence-Subject", requestsOf({ ...of, priority: undefined }));
  set("ce-specversion", "1.0");
  set("ce-id", request.id);
  set("ce-type", InferenceRequested.type);
  set("ce-source", "/millrace/bare");
  set("ce-subject", subject);
  set("ce-time", new Date().toISOString());
  set("content-type", "application/json");
  set("ce-correlationid", request.correlationId);
  set("millrace-digest", digestOf(body.bytes));
  set("millrace-rows", "1");
  set("millrace-model-version", "1");
  set("millrace-model-digest", DIGEST);
  await bus.js.publish(subject, body.bytes, { headers: all });
};

const jobs = {
  /** Stores so many one after the other, by turns in both ways; answers how long each took, in ms. */
  async lone({ messages }: { messages: number }): Promise<{ store: number[]; publish: number[] }> {
    const taken = { store: [] as number[], publish: [] as number[] };
    for (let index = 0; index < messages; index++)
      for (const [name, once] of index % 2 === 0 ? BOTH : BOTH.toReversed()) {
        const started = performance.now();
        await once();
        taken[name].push(performance.now() - started);
      }
    return taken;
  },
};
const BOTH = [
  ["store", store],
  ["publish", publish],
] as const;
export type StoreJobs = typeof jobs;

serve(jobs, async () => bus[Symbol.asyncDispose]());
