/**
 * NASA's C-MAPSS FD001 (A. Saxena et al., "Damage Propagation Modeling for Aircraft Engine Run-to-Failure Simulation",
 * PHM08): 100 turbofan engines run to failure, and 100 whose readings stop some cycles before it. The files are not
 * part of this repository; `models/README.md` says where they come from.
 *
 * Imports no TensorFlow, so that clients can build requests with it.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";

/** Cycles one request carries. */
export const WINDOW = 30;

/** Sensors that change at all in FD001 (14 of 21), and the age, as columns of the files counted from 0. */
const COLUMNS = {
  cycle: 1,
  lpc_outlet_temperature_r: 6,
  hpc_outlet_temperature_r: 7,
  lpt_outlet_temperature_r: 8,
  hpc_outlet_pressure_psia: 11,
  fan_speed_rpm: 12,
  core_speed_rpm: 13,
  hpc_outlet_static_pressure_psia: 15,
  fuel_flow_ratio_pps_psi: 16,
  corrected_fan_speed_rpm: 17,
  corrected_core_speed_rpm: 18,
  bypass_ratio: 19,
  bleed_enthalpy: 21,
  hpt_coolant_bleed_lbm_s: 24,
  lpt_coolant_bleed_lbm_s: 25,
} as const;

/** Names of a reading's values, in order. */
export const TURBOFAN_FEATURES = Object.keys(COLUMNS);

export interface Engine {
  readonly unit: number;
  /** One row of `TURBOFAN_FEATURES` per cycle, from the first on. */
  readonly readings: readonly (readonly number[])[];
}

export interface TurbofanData {
  readonly training: readonly Engine[];
  readonly test: readonly Engine[];
  /** Cycles that each test engine ran on after its last reading. */
  readonly testLife: readonly number[];
}

/** @throws Error that names the missing file or the line that is not a reading. */
export async function readTurbofan(folder: string): Promise<TurbofanData> {
  const table = async (name: string): Promise<number[][]> => {
    const text = await readFile(path.join(folder, name), "utf8").catch((cause) => {
      throw new Error(`${name} is not in ${folder}; see models/README.md for where the data comes from.`, { cause });
    });
    return text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => line.trim().split(/\s+/).map(Number));
  };
  const engines = async (name: string): Promise<Engine[]> => {
    const units = new Map<number, number[][]>();
    for (const [index, row] of (await table(name)).entries()) {
      if (row.length !== 26 || row.some(Number.isNaN)) {
        throw new Error(`${name}, line ${index + 1}: expected 26 numbers; is the file C-MAPSS FD001?`);
      }
      const readings = units.get(row[0]!) ?? [];
      readings.push(Object.values(COLUMNS).map((column) => row[column]!));
      units.set(row[0]!, readings);
    }
    return [...units].map(([unit, readings]) => ({ unit, readings }));
  };
  const [training, test, life] = await Promise.all([
    engines("train_FD001.txt"),
    engines("test_FD001.txt"),
    table("RUL_FD001.txt"),
  ]);
  return { training, test, testLife: life.map((row) => row[0]!) };
}

export interface EngineWindow {
  readonly unit: number;
  /** The last cycle of the window, from 1. */
  readonly cycle: number;
  /** `WINDOW` rows of `TURBOFAN_FEATURES`, row-major: one row of a request's `[-1, 30, 15]` input. */
  readonly values: Float32Array;
}

/**
 * One window per reading: it and the 29 before. Where an engine has fewer, its first reading is repeated in front, so
 * that a request is complete in itself and the pipeline keeps no state about any engine.
 */
export function* windows(engines: readonly Engine[]): Generator<EngineWindow> {
  for (const { unit, readings } of engines) {
    for (let last = 0; last < readings.length; last++) {
      const values = new Float32Array(WINDOW * TURBOFAN_FEATURES.length);
      for (let i = 0; i < WINDOW; i++) {
        values.set(readings[Math.max(0, last - WINDOW + 1 + i)]!, i * TURBOFAN_FEATURES.length);
      }
      yield { unit, cycle: last + 1, values };
    }
  }
}
