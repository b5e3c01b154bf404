import type { CheckReport } from "@millrace/contracts";
import type { Command } from "commander";
import { EXIT } from "../failure.ts";
import { booksText } from "../print/books.ts";
import type { Session } from "./session.ts";

/** `millrace check`: whether everything that was accepted is accounted for. */
export function addCheck(program: Command, session: Session): void {
  program
    .command("check")
    .description(
      "show the books: accepted = done + dead + pending, gaps, effects, consumers; exits with 1 unless they balance",
    )
    .option("--json", "the report as JSON")
    .action(async ({ json }: { json?: true }, command: Command) => {
      const { client } = await session.connect(command);
      const report = await client.json<CheckReport>("check");
      session.world.out(json ? `${JSON.stringify(report, null, 2)}\n` : booksText(report));
      if (!report.balanced) session.end(EXIT.refused);
    });
}
