import { type EncodedBody, type Envelope, HEADER_LENGTH, type RequestAddress, toHeaders } from "@millrace/contracts";
import { headers, type MsgHdrs } from "nats";

/**
 * A message to store at most once: it is refused unless the last message whose subject matches `exclusive` is the
 * expected one, by default none.
 */
export type Outgoing = {
  subject: string;
  /** Filter of the compare-and-set; every writer for one thing must use the same string. */
  exclusive: string;
  /** Stream sequence of the last message under `exclusive` that this one follows. @default 0, none */
  expected?: number;
  envelope: Envelope;
  body: Uint8Array;
  /** Length of the JSON part when binary tensors follow it. */
  headerLength?: number;
  /** Further headers. */
  headers?: Readonly<Record<string, string>>;
};

export type Stored = { stored: true; stream: string; sequence: number } | { stored: false };

/** Envelope, further headers, and the compare-and-set. */
export function messageHeaders(message: Outgoing): MsgHdrs {
  const all = headers();
  // Each name comes once; `set` would look for it among the others twice as often.
  for (const [name, value] of Object.entries(toHeaders(message.envelope))) all.append(name, value);
  for (const [name, value] of Object.entries(message.headers ?? {})) all.append(name, value);
  if (message.headerLength !== undefined) all.append(HEADER_LENGTH, String(message.headerLength));
  all.append("Nats-Expected-Last-Subject-Sequence", String(message.expected ?? 0));
  all.append("Nats-Expected-Last-Subject-Sequence-Subject", message.exclusive);
  return all;
}

/** The four tokens of an address, and nothing else that the value may carry. */
export const addressOf = ({ tenant, project, model, id }: RequestAddress): RequestAddress => ({
  tenant,
  project,
  model,
  id,
});

export const contentTypeOf = (body: EncodedBody): string =>
  body.headerLength === undefined ? "application/json" : "application/octet-stream";
