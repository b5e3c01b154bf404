import { type MachineReading, machineReadings } from "@millrace/models/readings";

const FLEET = { seed: 11, machines: 12, hours: 3_000 };
/** One reading in four is of a machine about to fail, so that a newcomer does not wait for weeks of machine time. */
const CYCLE = 4;

/** Readings of a synthetic fleet, most of them of healthy machines. Does not end. */
export function* demoReadings(): Generator<MachineReading> {
  for (let round = 0; ; round++) {
    const healthy = filter({ ...FLEET, seed: FLEET.seed + round }, ({ hours_to_failure }) => hours_to_failure > 300);
    const failing = filter({ ...FLEET, seed: FLEET.seed + round }, ({ hours_to_failure }) => hours_to_failure < 6);
    for (let number = 0; ; number++) {
      const { value, done } = (number % CYCLE === 1 ? failing : healthy).next();
      if (done) break;
      yield value;
    }
  }
}

/** Every 37th match: a different machine and another time of day each time. */
function* filter(fleet: typeof FLEET, matches: (reading: MachineReading) => boolean): Generator<MachineReading> {
  let count = 0;
  for (const reading of machineReadings(fleet)) if (matches(reading) && count++ % 37 === 0) yield reading;
}
