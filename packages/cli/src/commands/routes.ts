import { readFile } from "node:fs/promises";
import path from "node:path";
import { isToken, type Route, type RouteList } from "@millrace/contracts";
import type { Command } from "commander";
import { projectOf } from "../connection.ts";
import { usage } from "../failure.ts";
import { routesTable } from "../print/routes.ts";
import type { World } from "../world.ts";
import type { Session } from "./session.ts";

/** `millrace routes …`: what of a project is mirrored to Service Bus. */
export function addRoutes(program: Command, session: Session): void {
  const routes = program
    .command("routes")
    .description("see and change what is mirrored to Service Bus")
    .helpCommand(false);
  const { world } = session;

  routes
    .command("list")
    .description("list the project's routes; those of the bridge's configuration file are not among them")
    .option("--json", "one JSON document per line")
    .action(async ({ json }: { json?: true }, command: Command) => {
      const { connection, client } = await session.connect(command);
      const list = await client.json<RouteList>("listRoutes", { params: projectOf(connection) });
      if (json) for (const route of list.routes) world.out(`${JSON.stringify(route)}\n`);
      else world.out(list.routes.length > 0 ? routesTable(list.routes) : "The project has no routes.\n");
    });

  routes
    .command("show")
    .description("show one, as JSON that can be edited and put")
    .argument("<name>", "as the list names it")
    .action(async (name: string, _options: object, command: Command) => {
      const route = routeName(name);
      const { connection, client } = await session.connect(command);
      const params = { ...projectOf(connection), route };
      world.out(`${JSON.stringify(await client.json<Route>("getRoute", { params }), null, 2)}\n`);
    });

  routes
    .command("put")
    .description("put a route, new or changed; tenant and project may be left out of it")
    .argument("<file>", "JSON, or - for standard input")
    .action(async (file: string, _options: object, command: Command) => {
      const given = await readRoute(file, world);
      const { connection, client } = await session.connect(command);
      const params = { ...projectOf(connection), route: given.name };
      const { tenant, project } = params;
      const body = { tenant, project, ...given };
      const route = await client.json<Route>("putRoute", { params, body });
      world.out(routesTable([route]));
    });

  routes
    .command("delete")
    .description("end a route: what it has not sent yet is not sent")
    .argument("<name>", "as the list names it")
    .action(async (name: string, _options: object, command: Command) => {
      const route = routeName(name);
      const { connection, client } = await session.connect(command);
      await client.json<Route>("deleteRoute", { params: { ...projectOf(connection), route } });
      world.out(`The route ${route} has ended.\n`);
    });
}

function routeName(name: string): string {
  if (isToken(name)) return name;
  throw usage(`"${name}" is not the name of a route.`, "Write it as `millrace routes list` does.");
}

/** What is in a file; the server says what is wrong with it as a route. */
async function readRoute(file: string, world: World): Promise<Record<string, unknown> & { name: string }> {
  let given: unknown;
  try {
    const bytes = file === "-" ? await world.stdin() : await readFile(path.resolve(world.cwd, file));
    given = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (cause) {
    throw usage(`The route cannot be read: ${(cause as Error).message}`);
  }
  const { name } = (given ?? {}) as { name?: unknown };
  if (!isToken(name))
    throw usage("The route has no name that it could be put under.", 'Give it one: {"name": "alerts", …}');
  return { ...(given as object), name };
}
