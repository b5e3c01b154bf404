import { writeFile } from "node:fs/promises";
import path from "node:path";
import {
  DEAD_LETTER_STATES,
  DEAD_LETTERS_LIMIT_MAX,
  type DeadLetter,
  type DeadLetterPage,
  HEADER_LENGTH,
} from "@millrace/contracts";
import { type Command, Option } from "commander";
import type { Client } from "../client.ts";
import { projectOf } from "../connection.ts";
import { usage } from "../failure.ts";
import { jsonPayload } from "../payload.ts";
import { deadLettersTable, deadLetterText } from "../print/dead-letters.ts";
import { addFilters, type Filters, filterOf, limitOf, parseName } from "./dead-options.ts";
import { addDiscard, addRedrive } from "./decide.ts";
import type { Session } from "./session.ts";

/** `millrace dead …`: what died, why, and what becomes of it. */
export function addDead(program: Command, session: Session): void {
  const dead = program.command("dead").description("look at dead letters, and decide about them").helpCommand(false);
  addList(dead, session);
  addShow(dead, session);
  addPayload(dead, session);
  addRedrive(dead, session);
  addDiscard(dead, session);
}

const LIST_LIMIT = 100;

function addList(dead: Command, session: Session): void {
  addFilters(dead.command("list"))
    .description("list dead letters, oldest first; by default the first 100 that are open")
    .addOption(
      new Option("--state <state>", "what was decided").choices([...DEAD_LETTER_STATES, "all"]).default("open"),
    )
    .option("--limit <n>", "so many at most", limitOf)
    .option("--all", "without a limit")
    .option("--json", "one JSON document per line")
    .action(async (options: Filters & { state: string; limit?: number; all?: true; json?: true }, command: Command) => {
      const { connection, client } = await session.connect(command);
      const { out, error } = session.world;
      const question = { ...filterOf(options), state: options.state };
      const limit = options.limit ?? (options.all ? Number.POSITIVE_INFINITY : LIST_LIMIT);
      const found: DeadLetter[] = [];
      let count = 0;
      let more = false;
      for await (const page of pages(client, projectOf(connection), question, limit)) {
        count += page.dead_letters.length;
        more = page.next !== undefined;
        // A table needs all of its rows; lines go out as they come.
        if (options.json) for (const it of page.dead_letters) out(`${JSON.stringify(it)}\n`);
        else found.push(...page.dead_letters);
      }
      if (options.json) return;
      out(found.length > 0 ? deadLettersTable(found) : "No dead letters match.\n");
      if (more) error(`There may be more than these ${count}: use --all, or a larger --limit.\n`);
    });
}

/** Pages until the limit is reached or nothing follows. A page may be empty and another follow. */
async function* pages(
  client: Client,
  params: { tenant: string; project: string },
  question: Record<string, string>,
  limit: number,
): AsyncGenerator<DeadLetterPage> {
  let after: number | undefined = 0;
  for (let left = limit; left > 0 && after !== undefined; ) {
    const query = { ...question, after, limit: Math.min(left, DEAD_LETTERS_LIMIT_MAX) };
    const page: DeadLetterPage = await client.json<DeadLetterPage>("listDeadLetters", { params, query });
    yield page;
    left -= page.dead_letters.length;
    after = page.next;
  }
}

function addShow(dead: Command, session: Session): void {
  dead
    .command("show")
    .description("show one: why it died, the attempts before, what was decided")
    .argument("<model/id>", "as the list names it")
    .option("--json", "as JSON")
    .action(async (name: string, { json }: { json?: true }, command: Command) => {
      const of = parseName(name);
      const { connection, client } = await session.connect(command);
      const params = { ...projectOf(connection), ...of };
      const deadLetter = await client.json<DeadLetter>("getDeadLetter", { params });
      session.world.out(json ? `${JSON.stringify(deadLetter, null, 2)}\n` : deadLetterText(deadLetter));
    });
}

function addPayload(dead: Command, session: Session): void {
  dead
    .command("payload")
    .description("write what died, byte for byte")
    .argument("<model/id>", "as the list names it")
    .option("--as-json", "binary tensors as JSON numbers: a request that can be edited and redriven")
    .option("--output <file>", "into a file")
    .action(async (name: string, options: { asJson?: true; output?: string }, command: Command) => {
      const of = parseName(name);
      const { connection, client } = await session.connect(command);
      const params = { ...projectOf(connection), ...of };
      const { body, headers } = await client.bytes("deadLetterPayload", { params });
      const length = headers.get(HEADER_LENGTH);
      const payload = length === null ? { bytes: body } : { bytes: body, headerLength: Number(length) };
      const content = options.asJson ? jsonPayload(payload) : body;
      const { world } = session;
      if (options.output !== undefined) return await save(path.resolve(world.cwd, options.output), content);
      if (world.isTerminal && length !== null && !options.asJson)
        throw usage("The payload is binary, and would upset the terminal.", "Use --as-json, or --output FILE.");
      world.out(content);
      if (world.isTerminal && !options.asJson) world.out("\n");
    });
}

async function save(file: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeFile(file, content, { mode: 0o600 }); // it may be personal data
  } catch (cause) {
    throw usage(`The payload cannot be written: ${(cause as Error).message}`);
  }
}
