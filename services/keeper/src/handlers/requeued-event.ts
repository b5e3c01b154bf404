import type { Outgoing } from "@millrace/bus";
import { eventSubject, type RequestAddress, RequestRequeued } from "@millrace/contracts";

/** The event that a request was put into its queue again: one per place where it was. */
export function requeuedEvent(
  { tenant, project, model, id }: RequestAddress,
  moved: { from: number; to: number },
  header: (name: string) => string | undefined,
): Outgoing {
  const subject = eventSubject({ tenant, project, kind: "request", detail: [model, id, String(moved.from)] });
  const at = new Date().toISOString();
  const body: RequestRequeued = { tenant, project, model, id, sequence: moved.from, requeued_sequence: moved.to, at };
  const traceparent = header("traceparent");
  return {
    subject,
    exclusive: subject,
    body: Buffer.from(JSON.stringify(body)),
    envelope: {
      id: `${id}:requeued:${moved.from}`,
      type: RequestRequeued.type,
      source: "/millrace/keeper",
      subject,
      time: at,
      datacontenttype: "application/json",
      correlationid: header("ce-correlationid") ?? id,
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  };
}
