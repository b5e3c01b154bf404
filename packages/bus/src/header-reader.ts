import type { JsMsg, Msg, MsgHdrs } from "nats";

/** Reads headers by name: exact case, the first value; an empty one counts as absent. */
export type HeaderReader = (name: string) => string | undefined;

/**
 * Reads from the client's headers, by way of a map made at the first look: the client's own `get` lists and compares all
 * names each time, and a message is asked for a dozen.
 */
export function headerReader(headers: MsgHdrs | undefined): HeaderReader {
  let values: Map<string, string> | undefined;
  return (name) => {
    values ??= new Map(Array.from(headers ?? [], ([key, all]) => [key, all[0] ?? ""]));
    return values.get(name) || undefined;
  };
}

/**
 * Reads the headers of a delivered message, from the block as it came over the wire, at the first look. The client's own
 * headers check each name and look for it among the others: 10 µs for a request's 15, where this takes 2. Where the
 * client does not show the block (any more), its own decoding is used.
 */
export function deliveredHeaders(message: JsMsg): HeaderReader {
  const block = blockOf(message);
  if (!block) return headerReader(message.headers);
  let values: ReadonlyMap<string, string> | undefined;
  return (name) => {
    values ??= parseBlock(block);
    return values.get(name) || undefined;
  };
}

/**
 * Reads single headers out of a message's header block. The client decodes and checks the whole block (40 µs for a
 * request's dozen headers); a scan that wants one of them in a million messages looks for its name instead (1 µs).
 * Where the client does not show the block any more, its own decoding is used.
 */
export function rawHeader(message: Msg): HeaderReader {
  const { _rdata: data, _msg: parts } = message as unknown as {
    _rdata?: Uint8Array;
    _msg?: { hdr?: number };
  };
  const length = parts?.hdr;
  if (!(data instanceof Uint8Array) || typeof length !== "number") return headerReader(message.headers);
  if (length <= 0) return () => undefined;
  const block = Buffer.from(data.buffer, data.byteOffset, length);
  return (name) => {
    const start = block.indexOf(`\r\n${name}:`, 0, "latin1");
    if (start < 0) return undefined;
    const from = start + name.length + 3;
    const value = block.toString("utf8", from, block.indexOf("\r\n", from, "latin1")).trim();
    return value || undefined;
  };
}

function blockOf(message: JsMsg): Buffer | undefined {
  const { msg } = message as unknown as { msg?: { _rdata?: unknown; _msg?: { hdr?: unknown } } };
  const data = msg?._rdata;
  const length = msg?._msg?.hdr;
  if (!(data instanceof Uint8Array) || typeof length !== "number" || length < 0) return undefined;
  return Buffer.from(data.buffer, data.byteOffset, length);
}

/** `NATS/1.0[ status]` CRLF, then `name: value` CRLF each, then CRLF. */
function parseBlock(block: Buffer): Map<string, string> {
  const values = new Map<string, string>();
  const text = block.toString("utf8");
  for (let end = text.indexOf("\r\n"); end >= 0; ) {
    const start = end + 2;
    end = text.indexOf("\r\n", start);
    const colon = text.indexOf(":", start);
    if (colon < 0 || end < 0) break;
    if (colon > end) continue;
    const name = text.slice(start, colon);
    if (!values.has(name)) values.set(name, text.slice(colon + 1, end).trim());
  }
  return values;
}
