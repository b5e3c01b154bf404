import { headers } from "nats";
import { expect, it } from "vitest";
import { headerReader } from "./header-reader.ts";

it("reads the first value of a header by its exact name; empty and missing ones are absent", () => {
  const all = headers();
  all.append("ce-id", "1");
  all.append("ce-id", "2");
  all.append("empty", "");
  const read = headerReader(all);
  expect([read("ce-id"), read("Ce-Id"), read("empty"), read("other")]).toEqual(["1", undefined, undefined, undefined]);
  expect(headerReader(undefined)("ce-id")).toBeUndefined();
});
