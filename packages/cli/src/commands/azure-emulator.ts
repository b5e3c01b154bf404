import path from "node:path";
import type { Command } from "commander";
import { readWanted } from "../azure/routes-file.ts";
import { usage } from "../failure.ts";
import type { Session } from "./session.ts";

/** `millrace azure emulator-config`: what Microsoft's Service Bus emulator is to have, from the bridge's routes file. */
export function addEmulatorConfig(azure: Command, session: Session): void {
  azure
    .command("emulator-config")
    .description("print the Config.json of Microsoft's Service Bus emulator; asks no namespace")
    .requiredOption("--routes <file>", "the bridge's routes file (YAML or JSON)")
    .action(async ({ routes }: { routes: string }) => {
      const { world } = session;
      const { emulatorConfig } = await import("@millrace/contracts");
      const made = emulatorConfig(await readWanted(path.resolve(world.cwd, routes)));
      if (!made.ok)
        throw usage(
          `Microsoft's emulator cannot have this: ${made.mistakes.join("; ")}.`,
          "The local Service Bus can.",
        );
      for (const warning of made.warnings) world.error(`${warning}\n`);
      world.out(`${JSON.stringify(made.config, null, 2)}\n`);
    });
}
