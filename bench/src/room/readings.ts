import { readFileSync } from "node:fs";
import path from "node:path";
import type { Manifest } from "@millrace/contracts";
import { machineReadings } from "@millrace/models/readings";
import { repositoryRoot } from "./services.ts";

/** The model that benchmarks run, and readings for it. */

export const MODEL_DIR = path.join(repositoryRoot, "models/failure-risk");
export const MANIFEST = JSON.parse(readFileSync(path.join(MODEL_DIR, "manifest.json"), "utf8")) as Manifest;
export const FEATURES = MANIFEST.inputs[0]!.features!;

/** `count` readings of a synthetic fleet. */
export function readings(count: number): number[][] {
  const rows: number[][] = [];
  for (const { values } of machineReadings({ seed: 3, machines: Math.ceil(count / 500) + 1, hours: 2_000 })) {
    rows.push([...values]);
    if (rows.length === count) return rows;
  }
  throw new Error(`the fleet gave ${rows.length} readings, not ${count}`);
}

/** An OIP request of these rows, as a client writes it. */
export const inferBody = (rows: readonly (readonly number[])[]): string => {
  const [{ name, datatype }] = MANIFEST.inputs as [Manifest["inputs"][number]];
  return JSON.stringify({ inputs: [{ name, datatype, shape: [rows.length, FEATURES.length], data: rows.flat() }] });
};
