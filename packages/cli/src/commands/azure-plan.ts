import path from "node:path";
import type { Administration } from "@millrace/azure";
import type { Route, RouteList, WantedEntity } from "@millrace/contracts";
import { type Command, Option } from "commander";
import { doStep } from "../azure/apply.ts";
import { failureOf } from "../azure/failure.ts";
import { type Plan, planOf, verdictOf } from "../azure/plan.ts";
import { readActual } from "../azure/read.ts";
import { readWanted } from "../azure/routes-file.ts";
import { administrationOf, type Target, type TargetOptions, targetOf } from "../azure/target.ts";
import { projectOf } from "../connection.ts";
import { EXIT, usage } from "../failure.ts";
import { planText, stepLine } from "../print/plan.ts";
import type { World } from "../world.ts";
import type { Session } from "./session.ts";

type Options = TargetOptions & { routes: string; projectRoutes?: true; json?: true; format?: "bicep"; yes?: true };

const EXIT_OF = { nothing: EXIT.ok, pending: EXIT.pending, refused: EXIT.refused } as const;

/** `millrace azure plan`: what is missing at Service Bus, without changing anything. */
export function addPlan(azure: Command, session: Session): void {
  fromRoutes(azure.command("plan"))
    .description(
      "show what is missing or different at Service Bus; changes nothing. Exits with 4 when apply would change something",
    )
    .option("--json", "as JSON")
    .addOption(
      new Option("--format <format>", "`bicep`: what deploy/bicep makes, as JSON; asks no namespace").choices([
        "bicep",
      ]),
    )
    .action(async (_: object, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const { world } = session;
      if (options.format === "bicep") return world.out(await forBicep(await wantedBy(options, command, session)));
      const { target, compare } = await open(options, command, session);
      const plan = await compare();
      const verdict = verdictOf(plan);
      if (options.json) world.out(`${JSON.stringify({ namespace: target.name, verdict, ...plan }, null, 2)}\n`);
      else world.out(`${heading(target, options.routes)}\n${planText(plan)}`);
      session.end(EXIT_OF[verdict]);
    });
}

/** `millrace azure apply`: shows the plan, asks, does it step by step, and reads again whether it is so. */
export function addApply(azure: Command, session: Session): void {
  fromRoutes(azure.command("apply"))
    .description("show the plan, ask, and bring it about step by step; may be interrupted and given again")
    .option("--yes", "do not ask")
    .action(async (_: object, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const { world } = session;
      const { target, administration, compare } = await open(options, command, session);
      const plan = await compare();
      world.out(`${heading(target, options.routes)}\n${planText(plan)}`);
      if (plan.refusals.length > 0) return session.end(EXIT.refused); // half of it might be worse than nothing
      if (plan.steps.length === 0) return;
      if (!options.yes && !(await agreed(world))) {
        world.out("Nothing was changed.\n");
        return session.end(EXIT.refused);
      }
      await doAll(administration, target, plan, world);
      const after = await compare();
      world.out(`\nRead again:\n\n${planText(after)}`);
      if (verdictOf(after) !== "nothing") session.end(EXIT.refused);
    });
}

const fromRoutes = (command: Command): Command =>
  command
    .requiredOption("--routes <file>", "the bridge's routes file (YAML or JSON)")
    .option("--project-routes", "and the routes that a project put over the API (--tenant, --project)");

async function open(options: Options, command: Command, session: Session) {
  const wanted = await wantedBy(options, command, session);
  const target = await targetOf(options, session.world);
  const administration = await orFailure(target, administrationOf(target));
  return { target, administration, compare: () => compareWith(administration, target, wanted) };
}

/** @throws Failure when a template could not name an entity: its names are parts of a path */
async function forBicep(wanted: WantedEntity[]): Promise<string> {
  const nested = wanted.filter(({ name }) => name.includes("/")).map(({ name }) => name);
  if (nested.length > 0)
    throw usage(
      `Bicep cannot name ${nested.join(", ")}: a "/" would be a level of its path.`,
      "Take another name, or make these with `millrace azure apply`.",
    );
  const { bicepEntities } = await import("@millrace/contracts");
  return `${JSON.stringify(bicepEntities(wanted), null, 2)}\n`;
}

async function wantedBy(options: Options, command: Command, session: Session): Promise<WantedEntity[]> {
  const others = options.projectRoutes ? await projectRoutes(command, session) : [];
  return await readWanted(path.resolve(session.world.cwd, options.routes), others);
}

async function projectRoutes(command: Command, session: Session): Promise<Route[]> {
  const { connection, client } = await session.connect(command);
  return (await client.json<RouteList>("listRoutes", { params: projectOf(connection) })).routes;
}

const compareWith = async (administration: Administration, target: Target, wanted: WantedEntity[]): Promise<Plan> =>
  planOf(wanted, await orFailure(target, readActual(administration, wanted)));

async function doAll(administration: Administration, target: Target, { steps }: Plan, world: World): Promise<void> {
  for (const [index, step] of steps.entries()) {
    try {
      await doStep(administration, step);
    } catch (cause) {
      world.error(`${index} of ${steps.length} steps were done; "${stepLine(step)}" and what follows were not.\n`);
      throw failureOf(target, cause);
    }
    world.out(`done ${index + 1}/${steps.length}: ${stepLine(step)}\n`);
  }
}

async function orFailure<T>(target: Target, asking: Promise<T>): Promise<T> {
  try {
    return await asking;
  } catch (cause) {
    throw failureOf(target, cause);
  }
}

const heading = ({ name, from }: Target, routes: string): string =>
  `Service Bus ${name} (${from}), against ${routes}:\n`;

/** @throws Failure when there is nobody to ask */
async function agreed(world: World): Promise<boolean> {
  const answer = await world.ask("\nDo this? Only `yes` is a yes: ");
  if (answer === undefined) throw usage("There is no terminal to ask on.", "Look at the plan, then give --yes.");
  return answer.trim() === "yes";
}
