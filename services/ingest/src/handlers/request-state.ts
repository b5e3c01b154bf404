import type { RequestState } from "@millrace/contracts";
import { binaryState, jsonState } from "../domain/answer.ts";
import type { Streams } from "../domain/ports.ts";
import { prefersBinary } from "../domain/preferences.ts";
import { type Handler, header, place } from "./call.ts";
import { refuse } from "./problems.ts";

/** `GET …/requests/{id}`: the state, and the outcome when there is one. */
export const onGetRequest =
  ({ streams }: { streams: Streams }): Handler =>
  async (request, reply) => {
    const id = request.call.params.id!;
    request.call.id = id;
    const of = { ...place(request.call), id };
    const outcome = await streams.outcome(of);
    if (outcome) {
      if (!prefersBinary(header(request, "accept"))) return jsonState(outcome);
      const { bytes, headerLength } = binaryState(outcome);
      if (headerLength === undefined) return reply.type("application/json").send(bytes);
      return reply.header("Inference-Header-Content-Length", headerLength).type("application/octet-stream").send(bytes);
    }
    if (await streams.exists(of)) return { id, state: "pending", outcome: null } satisfies RequestState;
    return refuse(request, reply, { code: "unknown-request", detail: `no request ${id} is known for ${of.model}` });
  };
