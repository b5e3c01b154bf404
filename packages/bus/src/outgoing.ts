import { type EncodedBody, type Envelope, HEADER_LENGTH, type RequestAddress, toHeaders } from "@millrace/contracts";
import { type Field, HeaderBlock } from "./header-block.ts";

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

/**
 * The compare-and-set, the envelope, and further headers, in this order: the server looks for its own by scanning from
 * the front.
 * @throws TypeError when a value has a line break
 */
export function messageHeaders(message: Outgoing): HeaderBlock {
  const fields: Field[] = [
    ["Nats-Expected-Last-Subject-Sequence", String(message.expected ?? 0)],
    ["Nats-Expected-Last-Subject-Sequence-Subject", message.exclusive],
    ...Object.entries(toHeaders(message.envelope)),
    ...Object.entries(message.headers ?? {}),
  ];
  if (message.headerLength !== undefined) fields.push([HEADER_LENGTH, String(message.headerLength)]);
  return new HeaderBlock(fields);
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
