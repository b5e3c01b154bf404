import { readFile } from "node:fs/promises";
import path from "node:path";
import { type DecisionResult, type DecisionResults, PRIORITIES } from "@millrace/contracts";
import { type Command, Option } from "commander";
import type { Client } from "../client.ts";
import { projectOf } from "../connection.ts";
import { EXIT, Failure, usage } from "../failure.ts";
import { type Refused, resultsTable } from "../print/dead-letters.ts";
import type { World } from "../world.ts";
import { addFilters, type Filters, filterOf, limitOf, pageLimit, parseName } from "./dead-options.ts";
import type { Session } from "./session.ts";

/** Redriving and discarding: of dead letters that are named, or of those that filters match. */

type Options = Filters & {
  reason?: string;
  priority?: string;
  edit?: string;
  sequence?: number;
  limit?: number;
  all?: true;
  dryRun?: true;
  json?: true;
};

export function addRedrive(dead: Command, session: Session): void {
  deciding(dead.command("redrive"))
    .description("run dead letters again, as their next attempt")
    .option("--edit <file>", "run this Open Inference Protocol request (JSON) instead; `-` reads standard input")
    .addOption(new Option("--priority <priority>", "as before, unless given").choices([...PRIORITIES]))
    .option("--reason <text>", "why, for whoever audits it")
    .action((names: string[], options: Options, command: Command) =>
      decide("redrive", names, options, command, session),
    );
}

export function addDiscard(dead: Command, session: Session): void {
  deciding(dead.command("discard"))
    .description("let dead letters rest: they stay dead, and leave the list of those that are open")
    .requiredOption("--reason <text>", "why, for whoever audits it")
    .action((names: string[], options: Options, command: Command) =>
      decide("discard", names, options, command, session),
    );
}

const deciding = (command: Command): Command =>
  addFilters(
    command
      .argument("[model/id...]", "as the list names them; without any, --all or --limit says how many")
      .option("--sequence <n>", "refuse unless the dead letter is still at this position", limitOf)
      .option("--all", "every open one that the filters match")
      .option("--limit <n>", "the first so many that the filters match", limitOf)
      .option("--dry-run", "say what would happen and change nothing")
      .option("--json", "one result per line, as JSON"),
  );

type What = "redrive" | "discard";
const OPERATION = {
  redrive: { one: "redriveDeadLetter", many: "redriveDeadLetters" },
  discard: { one: "discardDeadLetter", many: "discardDeadLetters" },
} as const;

async function decide(what: What, given: string[], options: Options, command: Command, session: Session) {
  const names = given.map(parseName);
  checkOptions(names.length, options);
  const { world } = session;
  const payload = options.edit === undefined ? undefined : await readPayload(options.edit, world);
  const { connection, client } = await session.connect(command);
  const project = projectOf(connection);
  const order = {
    ...(options.reason === undefined ? {} : { reason: options.reason }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(options.dryRun ? { dry_run: true } : {}),
  };
  const one = {
    ...order,
    ...(options.sequence === undefined ? {} : { sequence: options.sequence }),
    ...(payload === undefined ? {} : { payload }),
  };
  const decided =
    names.length > 0
      ? decideNamed(client, what, project, names, one)
      : decideMatching(client, what, project, { filter: filterOf(options), ...order }, options.limit);

  const results: Result[] = [];
  try {
    for await (const result of decided) {
      results.push(result);
      if (options.json) world.out(`${JSON.stringify(result)}\n`);
      if (result.result === "refused") session.end(EXIT.refused);
    }
  } finally {
    // Also when the server went away in the middle: what was decided was decided.
    if (!options.json && results.length > 0) world.out(resultsTable(results));
  }
  if (!options.json && results.length === 0) world.out("No dead letters match.\n");
}

/** What came of one, or that it was refused before anything is known of it. */
type Result = DecisionResult | Refused;

/** Each by itself. One that is named alone and refused is a failure, with what to do; among several it is a result. */
async function* decideNamed(
  client: Client,
  what: What,
  project: { tenant: string; project: string },
  names: readonly { model: string; id: string }[],
  body: object,
): AsyncGenerator<Result> {
  for (const name of names) {
    try {
      yield await client.json<DecisionResult>(OPERATION[what].one, { params: { ...project, ...name }, body });
    } catch (cause) {
      if (names.length === 1 || !(cause instanceof Failure) || cause.exitCode !== EXIT.refused) throw cause;
      const { code = "internal", detail = cause.message } = cause.document ?? {};
      yield { ...name, result: "refused", problem: { code, detail } };
    }
  }
}

/** Call by call until as many were decided as were asked for, or none is left. */
async function* decideMatching(
  client: Client,
  what: What,
  params: { tenant: string; project: string },
  order: object,
  limit = Number.POSITIVE_INFINITY,
): AsyncGenerator<DecisionResult> {
  let after: number | undefined = 0;
  for (let left = limit; left > 0 && after !== undefined; ) {
    const body = { ...order, after, limit: pageLimit(left) };
    const answer: DecisionResults = await client.json<DecisionResults>(OPERATION[what].many, { params, body });
    yield* answer.results;
    left -= answer.matched;
    after = answer.next;
  }
}

function checkOptions(names: number, options: Options): void {
  const filters = Object.keys(filterOf(options)).map((name) => `--${name}`);
  const many = [...filters, ...(options.all ? ["--all"] : []), ...(options.limit === undefined ? [] : ["--limit"])];
  if (names > 0 && many.length > 0)
    throw usage(`${many.join(", ")}: dead letters are named already.`, "Either name them, or say which by options.");
  if (names === 0 && !options.all && options.limit === undefined)
    throw usage("Nothing says which dead letters.", "Name them as <model>/<id>, or use --all or --limit N.");
  if (options.all && options.limit !== undefined) throw usage("--all and --limit exclude each other.");
  if (names !== 1 && options.edit !== undefined) throw usage("--edit needs exactly one dead letter.");
  if (names !== 1 && options.sequence !== undefined) throw usage("--sequence needs exactly one dead letter.");
}

async function readPayload(file: string, { cwd, stdin }: World): Promise<unknown> {
  let bytes: Uint8Array;
  try {
    bytes = file === "-" ? await stdin() : await readFile(path.resolve(cwd, file));
  } catch (cause) {
    throw usage(`The payload cannot be read: ${(cause as Error).message}`);
  }
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (cause) {
    throw usage(
      `The payload is not JSON: ${(cause as Error).message}`,
      "`millrace dead payload NAME --as-json` writes one that can be edited.",
    );
  }
}
