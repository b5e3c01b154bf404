import { expect, test } from "vitest";
import { FAILURE_MODES, FEATURES, HORIZON_HOURS, machineReadings, namedValues } from "./readings.ts";

test("the same options give the same stream, another seed another", () => {
  const take = (seed: number) => [...machineReadings({ seed, machines: 3, hours: 50 })];
  expect(take(1)).toEqual(take(1));
  expect(take(1)).not.toEqual(take(2));
  expect(take(1)).toHaveLength(150);
});

test("a machine's readings do not depend on how many machines stand beside it", () => {
  const of = (machines: number) =>
    [...machineReadings({ seed: 5, machines, hours: 20 })].filter(({ machine }) => machine.startsWith("machine-1-"));
  expect(of(2)).toEqual(of(9));
});

test("every reading is finite and named, machines age by the hour, and those that fail are replaced", () => {
  const left = new Map<string, number>();
  const modes = new Set<string>();
  const wrong: unknown[] = [];
  for (const reading of machineReadings({ seed: 3, machines: 20, hours: 1500 })) {
    const { machine, values, hours_to_failure, failure_mode } = reading;
    const finite = values.length === FEATURES.length && values.every((value) => Number.isFinite(value) && value >= 0);
    const ages = hours_to_failure > 0 && hours_to_failure === (left.get(machine) ?? hours_to_failure + 1) - 1;
    if (!finite || !ages) wrong.push(reading);
    left.set(machine, hours_to_failure);
    modes.add(failure_mode);
  }
  expect(wrong).toEqual([]);
  expect([...left.keys()].some((machine) => machine.endsWith("-1"))).toBe(true);
  expect([...modes].sort()).toEqual([...FAILURE_MODES].sort());
});

test("damage shows: bearings vibrate more in the last hours than far from failure", () => {
  const vibration = FEATURES.indexOf("vibration_mm_s");
  const mean = (keep: (hours: number) => boolean) => {
    const kept = [...machineReadings({ seed: 4, machines: 40, hours: 600 })].filter(
      (reading) => reading.failure_mode === "bearing" && keep(reading.hours_to_failure),
    );
    return kept.reduce((sum, { values }) => sum + values[vibration]!, 0) / kept.length;
  };
  expect(mean((hours) => hours < 24)).toBeGreaterThan(2 * mean((hours) => hours > 10 * HORIZON_HOURS));
});

test("named values carry every feature", () => {
  const [reading] = machineReadings({ seed: 1, machines: 1, hours: 1 });
  expect(Object.keys(namedValues(reading!))).toEqual([...FEATURES]);
});
