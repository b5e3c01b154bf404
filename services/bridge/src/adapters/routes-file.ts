import { readFile } from "node:fs/promises";
import { ConfigError } from "@millrace/kit";
import { parse } from "yaml";
import { DEFAULT_ROUTES, parseRoutes, type Route } from "../domain/routes.ts";

/** Reads the routes (YAML, of which JSON is a part). @throws ConfigError naming every mistake */
export async function readRoutes(file: string | undefined): Promise<readonly Route[]> {
  if (file === undefined) return DEFAULT_ROUTES;
  let value: unknown;
  try {
    value = parse(await readFile(file, "utf8"));
  } catch (cause) {
    throw new ConfigError([`ROUTES_FILE: ${file} cannot be read: ${(cause as Error).message}`]);
  }
  const parsed = parseRoutes(value);
  if (parsed.ok) return parsed.routes;
  throw new ConfigError(parsed.mistakes.map((mistake) => `ROUTES_FILE: ${file}: ${mistake}`));
}
