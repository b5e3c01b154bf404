import type { Command } from "commander";
import type { Client } from "../client.ts";
import type { Connection } from "../connection.ts";
import type { ExitCode } from "../failure.ts";
import type { World } from "../world.ts";

/** What a command works with. */
export type Session = {
  world: World;
  /** The server that the options of a command name. @throws Failure when they name none */
  connect(command: Command): Promise<{ connection: Connection; client: Client }>;
  /** What the process exits with when the command ends without a failure. @default 0 */
  end(code: ExitCode): void;
};
