import type { ConsumerState } from "@millrace/bus";
import { expect, test } from "vitest";
import { serviceOf, standing } from "./standing.ts";

const consumer = (over: Partial<ConsumerState> = {}): ConsumerState => ({
  stream: "OUTCOMES",
  name: "bridge-predictions",
  filters: [],
  headers_only: false,
  acknowledged_sequence: 5,
  delivered_sequence: 7,
  deliveries: 7,
  pending: 3,
  ack_pending: 2,
  redelivered: 0,
  waiting: 1,
  created_ms: 0,
  begins_new: false,
  metadata: {},
  ...over,
});

test.each([
  ["has work and did not move", {}, true],
  ["was given a message again", { deliveries: 8 }, false],
  ["acknowledged one", { acknowledged_sequence: 6, ack_pending: 1 }, false],
  ["acknowledged one behind another", { ack_pending: 1 }, false],
  ["got more to do, and did nothing", { pending: 10 }, true],
  ["has nothing to do any more", { pending: 0, ack_pending: 0 }, false],
])("a consumer that %s", (_name, over, expected) => {
  expect(standing([consumer()], [consumer(over)])).toHaveLength(expected ? 1 : 0);
});

test("a consumer is named after its service", () => {
  expect(serviceOf("inference=tensor=normal=acme=pump")).toBe("inference");
  expect(serviceOf("notifier-alarm")).toBe("notifier");
});
