import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";

/** deploy/helm. */
export const HERE = path.resolve(import.meta.dirname, "..");
export const ROOT = path.resolve(HERE, "../..");
export const CHART = path.join(HERE, "millrace");
/** What examples are rendered for and checked against. */
export const KUBERNETES = "1.33.5";

export const text = (...parts: string[]): string => readFileSync(path.join(HERE, ...parts), "utf8");
export const yaml = (...parts: string[]): unknown => parse(text(...parts));

/** Values for a kind of cluster, from this folder. */
export const examples = (): string[] =>
  readdirSync(path.join(HERE, "examples"))
    .filter((name) => name.endsWith(".yaml"))
    .sort()
    .map((name) => `examples/${name}`);
