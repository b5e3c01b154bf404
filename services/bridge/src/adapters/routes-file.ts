import { readFile } from "node:fs/promises";
import type { RoutesFile } from "@millrace/contracts";
import { ConfigError } from "@millrace/kit";
import { parse } from "yaml";
import { DEFAULT_FILE, parseRoutesFile } from "../domain/routes.ts";

/** Reads the bridge's configuration file (YAML, of which JSON is a part). @throws ConfigError naming every mistake */
export async function readRoutesFile(file: string | undefined): Promise<RoutesFile> {
  if (file === undefined) return DEFAULT_FILE;
  let value: unknown;
  try {
    value = parse(await readFile(file, "utf8"));
  } catch (cause) {
    throw new ConfigError([`ROUTES_FILE: ${file} cannot be read: ${(cause as Error).message}`]);
  }
  const parsed = parseRoutesFile(value);
  if (parsed.ok) return parsed.file;
  throw new ConfigError(parsed.mistakes.map((mistake) => `ROUTES_FILE: ${file}: ${mistake}`));
}
