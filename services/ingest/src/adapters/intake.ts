import { Counter, type Registry } from "@millrace/kit";
import type { Refusal, Wish } from "../domain/admission/model-queue.ts";
import type { Accepted, Admission, Intake, Refused, Streams, Submitted } from "../domain/ports.ts";

/** Look-ups under way at once whether a request that is refused is a repeat, so that refusing stays cheap. */
const LOOKUPS_MAX = 64;

/** The streams behind the queues: a request is stored when there is a place for it. A repeat of one that is stored needs none. */
export function openIntake(streams: Streams, admission: Admission, metrics: Registry): Intake {
  const refused = new Counter({
    name: "millrace_refused_requests_total",
    help: "Requests, or whole uploads, refused for want of a place, by model and reason",
    labelNames: ["model", "reason"],
    registers: [metrics],
  });
  let lookups = 0;

  const refuse = (model: string, refusal: Refusal): Refusal => {
    refused.inc({ model, reason: refusal.code });
    return refusal;
  };
  const repeatOrRefusal = async (request: Submitted, refusal: Refusal): Promise<Accepted | Refused> => {
    // Without a connection there is nothing to look at; without a key of the client the id is fresh, and found nowhere.
    if (refusal.code !== "unavailable" && request.keyed && lookups < LOOKUPS_MAX) {
      lookups++;
      try {
        const before = await streams.acceptedBefore(request);
        if (before) return before;
      } finally {
        lookups--;
      }
    }
    return { kind: "refused", refusal: refuse(request.model, refusal) };
  };
  return {
    async publish(request) {
      const wish = wishOf(request);
      const refusal = streams.room() ?? admission.admit(request.model, wish);
      if (refusal) return await repeatOrRefusal(request, refusal);
      let stored = false;
      try {
        const accepted = await streams.publish(request);
        stored = accepted.kind === "accepted";
        return accepted;
      } finally {
        admission.finished(request.model, wish, stored);
      }
    },
    refusal(model, wish) {
      const refusal = streams.room() ?? admission.refusal(model, wish);
      return refusal && refuse(model, refusal);
    },
  };
}

const wishOf = ({ tenant, priority, rows, deadline }: Submitted): Wish => ({
  tenant,
  priority,
  rows,
  deadline_ms: deadline === undefined ? undefined : Date.parse(deadline),
});
