import { REQUESTS_TENSOR, type Tensor } from "@millrace/contracts";
import type { Run } from "@millrace/local";
import { FEATURES, machineReadings } from "@millrace/models/readings";
import {
  connectAsOperator,
  eventually,
  handMadeRequests,
  MALFORMED_KINDS,
  publishHandMade,
  readOutcomes,
  seededRandom,
  startMillrace,
} from "@millrace/testkit";
import { expect, test } from "vitest";
import { MODEL } from "./risk-requests.ts";

/** `MALFORMED=100000` for the long form. */
const COUNT = Number(process.env.MALFORMED ?? 5_000);
const WITHIN_MS = 120_000 + COUNT * 10;

test(`${COUNT} messages put on the request stream by hand, half of them malformed: each has one outcome, with its own reason`, {
  timeout: WITHIN_MS,
}, async () => {
  const random = seededRandom();
  await using millrace = await startMillrace();
  const { tenant, project } = millrace.run;
  const readings = [...machineReadings({ seed: 5, machines: 1, hours: 200 })];
  const tensor = (number: number): Tensor => ({
    name: "readings",
    datatype: "FP32",
    shape: [1, FEATURES.length],
    data: Float32Array.from(readings[number % readings.length]!.values),
  });
  const made = handMadeRequests({
    tenant,
    project,
    model: MODEL,
    count: COUNT,
    random,
    malformed: 0.5,
    tensor,
    prefix: "hand",
  });
  const stored = await publishHandMade(millrace.run, made);
  expect(stored.size).toBe(COUNT);
  expect(new Set([...stored.values()].map(({ kind }) => kind))).toEqual(new Set(["good", ...MALFORMED_KINDS]));

  await settled(millrace.run);
  const became = new Map<number, string[]>();
  for (const { outcome } of await readOutcomes(millrace.run)) {
    const { sequence } = outcome.request;
    const one = outcome.state === "done" ? "done" : outcome.reason.code;
    became.set(sequence, [...(became.get(sequence) ?? []), one]);
  }
  const wrong = [...stored]
    .map(([sequence, { kind, expected }]) => ({ kind, expected: [expected], became: became.get(sequence) ?? [] }))
    .filter(({ expected, became }) => became.join() !== expected.join());
  expect(wrong.slice(0, 20)).toEqual([]);
  expect(became.size).toBe(COUNT);
});

/** Waits until nothing on the request stream is unacknowledged: what has no outcome then was lost. */
async function settled(run: Run): Promise<void> {
  const connection = await connectAsOperator(run);
  try {
    const { consumers } = await connection.jetstreamManager();
    await eventually(
      async () => {
        for await (const { name, num_pending, num_ack_pending } of consumers.list(REQUESTS_TENSOR.name))
          expect({ name, open: num_pending + num_ack_pending }).toEqual({ name, open: 0 });
      },
      { within_ms: WITHIN_MS / 2, every_ms: 250 },
    );
  } finally {
    await connection.close();
  }
}
