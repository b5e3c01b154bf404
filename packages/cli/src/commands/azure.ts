import type { Command } from "commander";
import { addAzureDead } from "./azure-dead.ts";
import { addEmulatorConfig } from "./azure-emulator.ts";
import { addApply, addPlan } from "./azure-plan.ts";
import type { Session } from "./session.ts";

/** `millrace azure …`: what is at Service Bus. */
export function addAzure(program: Command, session: Session): void {
  const azure = program
    .command("azure")
    .description("compare Azure Service Bus with what routes need, and bring it about")
    .helpCommand(false)
    .option("--namespace <name>", "name of the namespace, entered with your own identity (DefaultAzureCredential)")
    .option("--connection-string-file <file>", "file that holds a connection string with a key that may manage")
    .addHelpText("after", WHERE);
  addPlan(azure, session);
  addApply(azure, session);
  addAzureDead(azure, session);
  addEmulatorConfig(azure, session);
}

const WHERE = `
The namespace is that of a flag, else of the bridge's settings (SERVICEBUS_NAMESPACE, SERVICEBUS_CONNECTION_STRING or
SERVICEBUS_CONNECTION_STRING_FILE), else the local one of the Millrace that runs with its data in .millrace (--data).`;
