import {
  LIMITS,
  PROBLEM_MEDIA_TYPE,
  type ProblemDocument,
  parseSubmissionSubject,
  SERVICE_ERROR,
  SERVICE_ERROR_CODE,
  SUBMISSION_SUBJECTS,
  type Submission,
  type SubmissionPlace,
  submissionSubject,
} from "@millrace/contracts";
import { ErrorCode, type Msg, headers as natsHeaders } from "nats";
import type { Bus } from "./bus.ts";
import { HeaderBlock } from "./header-block.ts";
import { wait } from "./wait.ts";

/** Submitting requests over NATS: one side asks, ingest answers. At most once each way; the key makes a repeat harmless. */

/** A request to submit. Header names are in lower case. */
export type SubmissionCall = SubmissionPlace & {
  headers: Readonly<Record<string, string>>;
  body: Uint8Array;
};

/** What ingest says: accepted, or a problem and, where it is worth trying again, after how long. */
export type SubmissionAnswer =
  | { ok: true; submission: Submission }
  | { ok: false; problem: ProblemDocument; retry_after_s?: number };

/** Room for the headers of a submission. */
const HEADERS_BYTES = 16 * 1024;

/** Longest body that can be submitted: what ingest takes, or what the server carries if that is less. */
export const submissionBytesMax = (bus: Bus): number =>
  Math.min(LIMITS.body_bytes, (bus.nc.info?.max_payload ?? LIMITS.body_bytes) - HEADERS_BYTES);

const RETRY_AFTER = "retry-after";

/**
 * Submits a request through ingest.
 * @throws Error when nobody answers, or not in time: the request may or may not be stored. Submitting it again under the
 *   same key is safe.
 */
export async function submitRequest(bus: Bus, call: SubmissionCall, timeout_ms: number): Promise<SubmissionAnswer> {
  const headers = new HeaderBlock(Object.entries(call.headers));
  let reply: Msg;
  try {
    reply = await bus.nc.request(submissionSubject(call), call.body, { headers, timeout: timeout_ms });
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    if (code === ErrorCode.NoResponders) throw new Error("no ingest is connected", { cause });
    if (code === ErrorCode.Timeout) throw new Error(`ingest did not answer within ${timeout_ms} ms`, { cause });
    throw cause;
  }
  if (!reply.headers?.get(SERVICE_ERROR_CODE)) return { ok: true, submission: reply.json<Submission>() };
  const retry_after_s = Number(reply.headers.get(RETRY_AFTER)) || undefined;
  const problem = reply.json<ProblemDocument>();
  return { ok: false, problem, ...(retry_after_s === undefined ? {} : { retry_after_s }) };
}

/** Submissions answered at once by one process, and what is said to those that come beyond. */
type AnswerOptions = { concurrency_max: number; busy: (call: SubmissionPlace) => SubmissionAnswer };

const CLOSE_WAIT_MS = 2_000;

/**
 * Answers submissions until disposed; replicas share them. Disposing takes no more, and waits for the answers under way.
 * What the responder throws is logged, and the asker gets no answer.
 */
export function answerSubmissions(
  bus: Bus,
  { concurrency_max, busy }: AnswerOptions,
  respond: (call: SubmissionCall) => Promise<SubmissionAnswer>,
): AsyncDisposable {
  const under_way = new Set<Promise<void>>();
  const handle = async (message: Msg) => {
    const place = parseSubmissionSubject(message.subject);
    if (!place) return bus.log.warn({ subject: message.subject }, "not the subject of a submission");
    try {
      const isBusy = under_way.size >= concurrency_max;
      const call = { ...place, headers: headersOf(message), body: message.data };
      send(message, isBusy ? busy(place) : await respond(call));
    } catch (err) {
      bus.log.error({ err, subject: message.subject }, "a submission could not be answered");
    }
  };
  const subscription = bus.nc.subscribe(SUBMISSION_SUBJECTS, {
    queue: "ingest",
    callback: (err, message) => {
      if (err) return bus.log.error({ err }, "listening for submissions failed");
      const handling = handle(message).finally(() => under_way.delete(handling));
      under_way.add(handling);
    },
  });
  return {
    async [Symbol.asyncDispose]() {
      if (bus.connected) await Promise.race([subscription.drain().catch(() => {}), wait(CLOSE_WAIT_MS)]);
      else subscription.unsubscribe();
      await Promise.all(under_way);
    },
  };
}

/** The first value of each header, by its name in lower case. */
function headersOf(message: Msg): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, values] of message.headers ?? []) found[name.toLowerCase()] ??= values[0] ?? "";
  return found;
}

function send(message: Msg, answer: SubmissionAnswer): void {
  const headers = natsHeaders();
  if (answer.ok) {
    headers.set("content-type", "application/json");
    message.respond(JSON.stringify(answer.submission), { headers });
    return;
  }
  const { problem, retry_after_s } = answer;
  headers.set("content-type", PROBLEM_MEDIA_TYPE);
  headers.set(SERVICE_ERROR_CODE, String(problem.status));
  headers.set(SERVICE_ERROR, problem.title);
  if (retry_after_s !== undefined) headers.set(RETRY_AFTER, String(retry_after_s));
  message.respond(JSON.stringify(problem), { headers });
}
