import type { OutgoingMessage } from "@millrace/azure";
import { type ClaimCheck, canonicalBytes, digestOf } from "@millrace/contracts";

/** Keeps what is too large for a message: see `Blobs` of packages/azure. */
export type Store = { putOnce(name: string, content: Buffer, contentType: string): Promise<string> };

/**
 * Stores the body of a message that its entity does not take, and answers the message that names it: the CloudEvents
 * attribute `dataref` says where it is, a small JSON body says that too, with digest and size. The blob's name derives
 * from the event (`<tenant>/<project>/<id>.<attempt>`), so that a repeat stores nothing twice.
 * @throws Error when it cannot be stored
 */
export async function claimCheck(store: Store, message: OutgoingMessage): Promise<OutgoingMessage> {
  const { body, contentType = "application/octet-stream", applicationProperties = {} } = message;
  const { tenant, project, "cloudEvents:id": id } = applicationProperties;
  const dataref = await store.putOnce(`${tenant}/${project}/${id}`, body, contentType);
  const claim: ClaimCheck = {
    content_type: contentType,
    dataref,
    digest: digestOf(body),
    size_bytes: body.byteLength,
  };
  return {
    ...message,
    contentType: "application/json",
    body: Buffer.from(canonicalBytes(claim)),
    applicationProperties: { ...applicationProperties, "cloudEvents:dataref": dataref },
  };
}
