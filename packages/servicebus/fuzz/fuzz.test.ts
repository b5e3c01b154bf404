import { expect, test } from "vitest";
import { randomFrom } from "../src/testing/random.ts";
import { fuzz } from "./fuzz.ts";
import { mutate, splitStream } from "./mutations.ts";

test("four seconds of what no client should send end nothing and disturb nobody (seed 1)", async () => {
  const report = await fuzz({ seconds: 4, seed: 1 });
  expect(report).toMatchObject({ ended: undefined, steady: { failures: [] } });
  expect(report.connections).toBeGreaterThan(5);
  expect(report.documents).toBeGreaterThan(2);
  expect(report.steady.messages).toBeGreaterThan(0);
  expect(report.memory?.most ?? 0).toBeLessThan(400);
});

test("a seed decides what is sent", () => {
  const pieces = [Buffer.from("AMQP\x00\x01\x00\x00"), Buffer.from([0, 0, 0, 10, 2, 0, 0, 0, 1, 2])];
  expect(splitStream(Buffer.concat(pieces))).toEqual(pieces);
  const sent = (seed: number) => Buffer.concat(mutate(pieces, pieces, randomFrom(seed))).toString("hex");
  expect(sent(5)).toBe(sent(5));
  expect(new Set([1, 2, 3, 4, 5, 6, 7, 8].map(sent)).size).toBeGreaterThan(4);
});
