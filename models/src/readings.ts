/**
 * Synthetic readings of degrading machines: a fleet of motor-driven pumps, one reading per machine and hour.
 *
 * Each machine has tolerances of its own, works in changing load regimes under changing weather, and wears out in one
 * of four ways. A hidden severity grows from 0 to 1 over its life, slowly at first (exponential growth, the usual form
 * of fatigue and wear), and moves the sensors that this way of failing touches. Noise, tolerances and load move them
 * too, so no single sensor tells. A machine that fails is replaced by a new one, so the stream goes on.
 *
 * Imports no TensorFlow: the demonstration, tests and benchmarks stream it without loading any.
 */
import { createRandom, type Random } from "./random.ts";

/** Names and units of a reading's values, in order. */
export const FEATURES = [
  "ambient_temperature_c",
  "speed_rpm",
  "load_percent",
  "motor_current_a",
  "winding_temperature_c",
  "bearing_temperature_c",
  "vibration_mm_s",
  "vibration_crest",
  "discharge_pressure_bar",
  "flow_m3_h",
  "oil_pressure_bar",
  "oil_particles_mg_l",
] as const;

/** A reading is at risk when its machine fails within this time. */
export const HORIZON_HOURS = 72;

export const FAILURE_MODES = ["bearing", "seal", "winding", "lubrication"] as const;
export type FailureMode = (typeof FAILURE_MODES)[number];

export interface MachineReading {
  /** `machine-<place>-<how many stood there before>`. */
  readonly machine: string;
  readonly hour: number;
  /** In the order of `FEATURES`, raw units, rounded as sensors do. */
  readonly values: readonly number[];
  /** The truth, which a model never sees. */
  readonly hours_to_failure: number;
  readonly failure_mode: FailureMode;
}

export interface FleetOptions {
  readonly seed: number;
  readonly machines: number;
  /** Hours to run; the stream has `machines * hours` readings. A year when left out. */
  readonly hours?: number;
}

/** All machines' readings of the first hour, then of the second, and so on. The same options give the same stream. */
export function* machineReadings({
  seed,
  machines,
  hours = 8760,
}: FleetOptions): Generator<MachineReading, undefined, void> {
  const places = Array.from({ length: machines }, (_, place) => {
    const random = createRandom(seed, place);
    // Places start with machines of any age, so that failures are spread over time.
    return { random, before: 0, machine: newMachine(random, random.uniform()), load: newLoad(random) };
  });
  for (let hour = 0; hour < hours; hour++) {
    for (const [number, place] of places.entries()) {
      const { random } = place;
      if (place.machine.age >= place.machine.life) {
        place.before++;
        place.machine = newMachine(random, 0);
      }
      const { machine } = place;
      place.load = nextLoad(place.load, random);
      yield {
        machine: `machine-${number}-${place.before}`,
        hour,
        values: sense(machine, place.load, hour, random),
        hours_to_failure: machine.life - machine.age,
        failure_mode: machine.mode,
      };
      machine.age++;
    }
  }
}

/** A reading as an NDJSON line or CSV row carries it: values by name. */
export const namedValues = ({ values }: MachineReading): Record<string, number> =>
  Object.fromEntries(FEATURES.map((name, i) => [name, values[i]!]));

interface Machine {
  readonly mode: FailureMode;
  /** Whole hours from new to failure. */
  readonly life: number;
  /** How late and how steeply the damage grows. */
  readonly growth: number;
  /** Relative tolerance of each sensor and its mounting. */
  readonly tolerance: readonly number[];
  age: number;
}

/** Weibull lives (shape 2.2, scale 1,400 h), as rotating machines have; none under 200 h. */
function newMachine(random: Random, livedShare: number): Machine {
  const life = Math.round(200 + 1400 * (-Math.log(1 - random.uniform())) ** (1 / 2.2));
  return {
    mode: FAILURE_MODES[Math.floor(random.uniform() * FAILURE_MODES.length)]!,
    life,
    growth: random.between(5, 9),
    tolerance: FEATURES.map(() => 1 + 0.015 * random.normal()),
    age: Math.floor(life * livedShare),
  };
}

/** Damage from 0 (new) to 1 (failure). */
const severity = ({ age, life, growth }: Machine): number => Math.expm1((growth * age) / life) / Math.expm1(growth);

interface Load {
  readonly regime: number;
  /** Share of nominal load, moving slowly towards the regime's. */
  readonly share: number;
}

/** Idle, normal and peak: target load and chance per hour to leave. */
const REGIMES = [
  { load: 0.2, leave: 0.2 },
  { load: 0.65, leave: 0.06 },
  { load: 0.95, leave: 0.15 },
] as const;

const newLoad = (random: Random): Load => ({ regime: 1, share: random.between(0.5, 0.8) });

function nextLoad({ regime, share }: Load, random: Random): Load {
  const leaves = random.uniform() < REGIMES[regime]!.leave;
  const next = leaves ? (regime + 1 + Math.floor(random.uniform() * 2)) % 3 : regime;
  const target = REGIMES[next]!.load;
  return { regime: next, share: Math.max(0.05, share + 0.6 * (target - share) + 0.03 * random.normal()) };
}

/** What the sensors show: the healthy value under this load and weather, moved by the damage, then by noise. */
function sense(machine: Machine, { share }: Load, hour: number, random: Random): number[] {
  // Damage shows unevenly from hour to hour.
  const damage = severity(machine) * Math.max(0, 1 + 0.15 * random.normal());
  const of = (mode: FailureMode): number => (machine.mode === mode ? damage : 0);
  const [bearing, seal, winding, lubrication] = [of("bearing"), of("seal"), of("winding"), of("lubrication")];

  const ambient = 18 + 6 * Math.sin((2 * Math.PI * (hour % 24)) / 24) + 1.5 * random.normal();
  const speed = 1492 - 18 * share * (1 + 0.4 * winding);
  const current = 14 + 66 * share * (1 + 0.14 * seal + 0.18 * winding + 0.05 * bearing);
  const heat = current / 80;
  const ideal = [
    ambient,
    speed,
    100 * share,
    current,
    ambient + 12 + 46 * heat ** 2 * (1 + 0.6 * winding),
    ambient + 14 + 16 * share + 24 * bearing + 20 * lubrication,
    1.1 + 0.9 * share + 3.4 * bearing + 0.9 * lubrication + 0.5 * seal,
    3.1 + 2.8 * bearing ** 0.7 + 0.5 * lubrication,
    9.4 - 1.8 * share - 1.9 * seal,
    18 + 92 * share * (1 - 0.22 * seal),
    3.6 - 0.3 * share - 1.1 * lubrication,
    6 + 26 * lubrication + 14 * bearing,
  ];
  return ideal.map((value, i) => {
    const { noise, step } = SENSORS[i]!;
    const shown = value * machine.tolerance[i]! + noise * random.normal();
    return Number((Math.round(Math.max(0, shown) / step) * step).toFixed(2));
  });
}

/** Standard deviation of each sensor's noise, and its resolution. */
const SENSORS = [
  { noise: 0.3, step: 0.1 },
  { noise: 2, step: 1 },
  { noise: 1, step: 0.1 },
  { noise: 1.2, step: 0.1 },
  { noise: 1.8, step: 0.1 },
  { noise: 1.6, step: 0.1 },
  { noise: 0.22, step: 0.01 },
  { noise: 0.25, step: 0.01 },
  { noise: 0.12, step: 0.01 },
  { noise: 1.8, step: 0.1 },
  { noise: 0.09, step: 0.01 },
  { noise: 1.4, step: 0.1 },
] as const;
