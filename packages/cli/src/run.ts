import { Command, CommanderError, Option } from "commander";
import manifest from "../package.json" with { type: "json" };
import { createClient } from "./client.ts";
import { addAzure } from "./commands/azure.ts";
import { addCheck } from "./commands/check.ts";
import { addDead } from "./commands/dead.ts";
import { addRoutes } from "./commands/routes.ts";
import type { Session } from "./commands/session.ts";
import { type ConnectionOptions, connectionOf } from "./connection.ts";
import { EXIT, type ExitCode, Failure } from "./failure.ts";
import { failureText } from "./print/failure.ts";
import type { World } from "./world.ts";

const { version } = manifest;

const EXIT_CODES = `
Exit codes: 0 done; 1 the books do not balance, or it was refused; 2 the command line, a file or a setting is wrong;
3 the server cannot be reached or cannot answer now; 4 \`azure plan\` found changes to make.

The server and token are those of flags, else of MILLRACE_URL, MILLRACE_TOKEN, MILLRACE_TENANT and MILLRACE_PROJECT,
else of the Millrace that runs with its data in .millrace (--data). The token of the latter is sent to it alone.`;

/** Runs one command line. @returns the exit code of the process */
export async function run(args: readonly string[], world: World): Promise<number> {
  let exitCode: ExitCode = EXIT.ok;
  const session: Session = {
    world,
    async connect(command) {
      const connection = await connectionOf(command.optsWithGlobals<ConnectionOptions>(), world);
      return { connection, client: createClient(connection) };
    },
    end(code) {
      exitCode = code;
    },
  };
  const program = programOf(session);
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (cause) {
    // Commander has said what is wrong; its code is 1 for every mistake, and 0 for help.
    if (cause instanceof CommanderError) return cause.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (!(cause instanceof Failure)) throw cause;
    const asJson = args.includes("--json") && cause.document !== undefined;
    world.error(asJson ? `${JSON.stringify(cause.document)}\n` : failureText(cause));
    return cause.exitCode;
  }
}

function programOf(session: Session): Command {
  const { world } = session;
  const program = new Command("millrace")
    .description(
      "Checks the books of a Millrace, decides about its dead letters, routes its outcomes to Service Bus, and prepares that",
    )
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => world.out(text), writeErr: (text) => world.error(text) })
    .showSuggestionAfterError()
    .addOption(new Option("--url <url>", "address of the API"))
    .addOption(new Option("--token-file <file>", "file that holds the bearer token"))
    .addOption(new Option("--token <token>", "the bearer token; other users may see it in the list of processes"))
    .addOption(new Option("--tenant <name>", "tenant of the dead letters or routes"))
    .addOption(new Option("--project <name>", "project of the dead letters or routes"))
    .addOption(new Option("--data <dir>", "data directory of a Millrace that runs here (default: .millrace)"))
    .addHelpText("after", EXIT_CODES);
  addCheck(program, session);
  addDead(program, session);
  addRoutes(program, session);
  addAzure(program, session);
  return program;
}
