import { readFile } from "node:fs/promises";
import { type Route, RoutesFile, type WantedEntity, wantedOf } from "@millrace/contracts";
import { usage } from "../failure.ts";

/**
 * What a routes file (YAML, of which JSON is a part) and other routes want of Service Bus.
 * @throws Failure naming every mistake in it
 */
export async function readWanted(file: string, others: readonly Route[] = []): Promise<WantedEntity[]> {
  const [{ parse }, { Value }] = await Promise.all([import("yaml"), import("typebox/value")]);
  let content: unknown;
  try {
    content = parse(await readFile(file, "utf8"));
  } catch (cause) {
    throw usage(`The routes file ${file} cannot be read: ${(cause as Error).message}`);
  }
  const mistakes = Value.Errors(RoutesFile, content).map(
    ({ instancePath, message, params }) => `${instancePath || "the file"} ${message}${extraOf(params)}`,
  );
  const wanted = mistakes.length > 0 ? { ok: false as const, mistakes } : wantedOf(content as RoutesFile, others);
  if (wanted.ok) return wanted.entities;
  throw usage(
    `The routes file ${file} is wrong: ${wanted.mistakes.join("; ")}.`,
    "It is the bridge's own; see its README.",
  );
}

const extraOf = (params: object): string =>
  "additionalProperties" in params ? ` (${String(params.additionalProperties)})` : "";
