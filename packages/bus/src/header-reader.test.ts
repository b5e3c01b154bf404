import { headers, type JsMsg } from "nats";
import { expect, it } from "vitest";
import { deliveredHeaders, headerReader } from "./header-reader.ts";

const some = headers();
some.append("ce-id", "1");
some.append("ce-id", "2");
some.append("empty", "");
some.append("time", "10:15:00");
some.append("who", "é€😀");

/** A message as the client holds it: headers and body in one array. */
const delivered = (block: Uint8Array): JsMsg => {
  const data = Buffer.concat([block, Buffer.from("body")]);
  return { msg: { _rdata: data, _msg: { hdr: block.byteLength } } } as unknown as JsMsg;
};
const readers = {
  "the client's headers": headerReader(some),
  "the block on the wire": deliveredHeaders(delivered((some as unknown as { encode(): Uint8Array }).encode())),
  "a message that shows no block": deliveredHeaders({ headers: some } as unknown as JsMsg),
};

it.each(Object.entries(readers))(
  "%s: the first value of a header by its exact name; empty and missing ones are absent",
  (_name, read) => {
    expect(["ce-id", "Ce-Id", "empty", "other", "time", "who"].map(read)).toEqual([
      "1",
      undefined,
      undefined,
      undefined,
      "10:15:00",
      "é€😀",
    ]);
  },
);

it("a message without headers has none, and a broken block no more than what can be read", () => {
  expect(headerReader(undefined)("ce-id")).toBeUndefined();
  expect(deliveredHeaders(delivered(Buffer.alloc(0)))("ce-id")).toBeUndefined();
  const read = deliveredHeaders(delivered(Buffer.from("NATS/1.0 100 Idle\r\nno colon\r\na:1\r\nb: 2")));
  expect(["no colon", "a", "b"].map(read)).toEqual([undefined, "1", undefined]);
});
