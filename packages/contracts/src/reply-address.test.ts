import { expect, it } from "vitest";
import { formatReplyTo, parseReplyTo, REPLY_ADDRESS_MAX, type ReplyTo } from "./reply-address.ts";

it("reads what it has written, in ASCII and within its bound, whatever the ids are made of", () => {
  for (const character of ["a", '"', "\\", "\n", "é", "日", "😀", "\u0000", "\u007f"]) {
    const to: ReplyTo = {
      source: "orders",
      entity: "replies",
      session: character.repeat(128).slice(0, 128),
      message: character.repeat(128).slice(0, 128),
    };
    const header = formatReplyTo(to);
    expect(header).toMatch(/^[\x20-\x7e]+$/);
    expect(header.length).toBeLessThan(REPLY_ADDRESS_MAX);
    expect(parseReplyTo(header)).toEqual(to);
  }
});

it("takes nothing else for an address", () => {
  expect(parseReplyTo(undefined)).toBeUndefined();
  expect(parseReplyTo("replies")).toBeUndefined();
  expect(parseReplyTo('{"source":"a","entity":"","message":"1"}')).toBeUndefined();
  expect(parseReplyTo('{"source":"a","entity":"q","message":"1","more":1}')).toBeUndefined();
  expect(parseReplyTo(`{"source":"a","entity":"q","message":"1"}${" ".repeat(REPLY_ADDRESS_MAX)}`)).toBeUndefined();
});
