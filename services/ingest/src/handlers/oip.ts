import {
  type DeadOutcome,
  ERRORS,
  type ErrorCode,
  LIMITS,
  type ModelMetadata,
  type ServerMetadata,
  type TensorSignature,
} from "@millrace/contracts";
import type { Health } from "@millrace/kit";
import type { FastifyRequest } from "fastify";
import { inferResponse } from "../domain/answer.ts";
import type { Models } from "../domain/ports.ts";
import { waitPreference } from "../domain/preferences.ts";
import { acceptAndWait, deployed, stateUrl, submissionOf } from "../domain/submit.ts";
import { type Handler, header } from "./call.ts";
import { refuse } from "./problems.ts";
import { bodyOf, refuseSubmission, type SubmitDeps, say, sayAccepted, submitCallOf, waitOf } from "./submit.ts";

/** The Open Inference Protocol v2, on the same durable path as every other request. */

/** The version of the protocol's server metadata; the platform's own, not a model's. */
const SERVER: ServerMetadata = { name: "millrace", version: "0.1.0", extensions: ["binary_tensor_data"] };

export const onServerMetadata: Handler = async () => SERVER;
export const onServerLive: Handler = async () => ({ live: true });
export const onServerReady =
  ({ health }: { health: Health }): Handler =>
  async (_request, reply) => {
    const { ready } = health.report();
    return reply.code(ready ? 200 : 503).send({ ready });
  };

export const onModelMetadata =
  ({ models }: { models: Models }): Handler =>
  async (request, reply) => {
    const model = deployed(asked(request), models);
    if (!model.ok) return refuse(request, reply, model.problem);
    const { name, version, format, inputs, outputs } = model.value.manifest;
    const platform = format === "layers" ? "tensorflow_js_layers" : "tensorflow_savedmodel";
    const metadata: ModelMetadata = {
      name,
      versions: [version],
      platform,
      inputs: inputs.map(signature),
      outputs: outputs.map(signature),
    };
    return metadata;
  };

export const onModelReady =
  ({ models }: { models: Models }): Handler =>
  async (request, reply) => {
    const model = deployed(asked(request), models);
    if (!model.ok) return refuse(request, reply, model.problem);
    return { name: model.value.manifest.name, ready: true };
  };

/** `POST …/infer`: accepted as any request, then waited for. */
export const onInfer =
  (deps: SubmitDeps): Handler =>
  async (request, reply) => {
    const submission = submissionOf(submitCallOf(request), bodyOf(request), deps);
    if (!submission.ok) return refuseSubmission(request, reply, submission);
    const { request: submitted, asked: wanted } = submission.value;
    say(request, reply, submission.value);
    const wait_s = waitPreference(header(request, "prefer")) ?? LIMITS.infer_wait_s;
    const waited = await acceptAndWait(submission.value, waitOf(request, wait_s), deps);
    if (!waited.ok) return refuseSubmission(request, reply, waited);
    const { accepted, outcome } = waited.value;
    sayAccepted(reply, submission.value, accepted);

    const location = stateUrl(submitted);
    if (!outcome) {
      const detail = `request ${submitted.id} has no outcome yet; this call waits up to ${wait_s} s`;
      return refuse(request, reply, { code: "wait-timeout", detail }, { location });
    }
    if (outcome.record.state === "dead") return refuse(request, reply, reasonOf(outcome.record), { location });
    const { bytes, headerLength } = inferResponse(outcome, wanted);
    reply.header("Content-Location", location);
    if (headerLength === undefined) return reply.type("application/json").send(bytes);
    return reply.header("Inference-Header-Content-Length", headerLength).type("application/octet-stream").send(bytes);
  };

/** A dead letter's reason as a problem. A code of a newer worker that this process does not know is our own error. */
function reasonOf({ reason }: DeadOutcome) {
  const code = Object.hasOwn(ERRORS, reason.code) ? (reason.code as ErrorCode) : "internal";
  return { code, detail: reason.detail, ...(reason.at === undefined ? {} : { at: reason.at }) };
}

/** The model of the path, in its version if the path names one. */
const asked = ({ call: { params } }: FastifyRequest) => ({
  model: params.model!,
  ...(params.version === undefined ? {} : { version: params.version }),
});

const signature = ({ name, datatype, shape }: TensorSignature) => ({ name, datatype, shape });
