import { DEAD_LETTERS_LIMIT_MAX, isToken } from "@millrace/contracts";
import { type Command, InvalidArgumentError } from "commander";
import { usage } from "../failure.ts";

/** Which dead letters, as the options of several commands say it. */
export type Filters = { model?: string; code?: string; from?: string; to?: string };

export const addFilters = (command: Command): Command =>
  command
    .option("--model <name>", "only of this model")
    .option("--code <code>", "only those that died for this reason")
    .option("--from <time>", "only those that died then or later (2026-11-21T12:00:00Z)")
    .option("--to <time>", "only those that died before");

/** The filter as the API takes it: absent parts match any. */
export const filterOf = ({ model, code, from, to }: Filters): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ model, code, from, to }).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );

/** A number of dead letters, of any size: it is asked for in pages. */
export function limitOf(given: string): number {
  const limit = Number(given);
  if (!Number.isSafeInteger(limit) || limit < 1) throw new InvalidArgumentError("It is not a whole number from 1.");
  return limit;
}

/** What one call may be asked for. */
export const pageLimit = (left: number): number => Math.min(left, DEAD_LETTERS_LIMIT_MAX);

/** `<model>/<id>`, as the list prints it. @throws Failure when it is not one */
export function parseName(name: string): { model: string; id: string } {
  const [model, id, ...rest] = name.split("/");
  if (rest.length === 0 && isToken(model) && isToken(id)) return { model, id };
  throw usage(`"${name}" does not name a dead letter.`, "Write <model>/<id>, as `millrace dead list` does.");
}
