import { isToken, type Route, RoutesFile, routeMistakes, sourceMistakes } from "@millrace/contracts";
import { Value } from "typebox/value";

/** Without a routes file: everything goes to one topic. */
export const DEFAULT_FILE: RoutesFile = { routes: [{ name: "predictions", topic: "predictions" }] };

/** A parsed routes file, or every mistake in its form and its routes. */
export function parseRoutesFile(value: unknown): { ok: true; file: RoutesFile } | { ok: false; mistakes: string[] } {
  const wrong = Value.Errors(RoutesFile, value).map((error) => `${error.instancePath || "/"} ${error.message}`);
  if (wrong.length > 0) return { ok: false, mistakes: wrong };
  const file = value as RoutesFile;
  const mistakes = file.routes.flatMap((route, index) =>
    routeMistakes(route).map(({ at, message }) => `/routes/${index}${at === "/" ? "" : at} ${message}`),
  );
  const twice = file.routes.filter(
    ({ name }, index) => file.routes.findIndex((other) => other.name === name) !== index,
  );
  const { sources = [] } = file;
  for (const [index, source] of sources.entries()) {
    for (const { at, message } of sourceMistakes(source))
      mistakes.push(`/sources/${index}${at === "/" ? "" : at} ${message}`);
    if (sources.findIndex((other) => other.name === source.name) !== index)
      mistakes.push(`the name "${source.name}" is used by two sources; it is part of the key of their requests`);
  }
  for (const { name } of twice) mistakes.push(`the name "${name}" is used by two routes; it names a durable consumer`);
  return mistakes.length > 0 ? { ok: false, mistakes } : { ok: true, file };
}

/**
 * The route in force under a name: the bucket's, else the file's. A route of the bucket that is confined to a project
 * does not take the place of one in the file that is not of that project: who may operate one project must not end
 * what is mirrored of others.
 */
export function inForce(file: Route | undefined, bucket: Route | undefined): { route?: Route; refused?: string } {
  if (bucket === undefined) return file ? { route: file } : {};
  if (file === undefined) return { route: bucket };
  const widens = (["tenant", "project"] as const).some(
    (part) => bucket[part] !== undefined && file[part] !== bucket[part],
  );
  return widens
    ? { route: file, refused: "the configuration file has a route of this name that is not of the same project" }
    : { route: bucket };
}

/**
 * What is wrong with a route of the bucket, in one sentence; undefined when it can be in force. Where the configuration
 * file says which entities there are, a route goes to one of those: who may operate a project chooses among what the
 * operator of the bridge has named, and not what else the bridge may send to.
 */
export function bucketMistake(
  key: string,
  route: Route,
  { entities, routes }: Partial<Pick<RoutesFile, "entities" | "routes">> = {},
): string | undefined {
  if (!isToken(key) || route.name !== key) return `its key is "${key}" and its name "${route.name}"`;
  const [first] = routeMistakes(route);
  if (first) return `${first.at} ${first.message}`;
  const isSame = (named: Pick<Route, "topic" | "queue">) =>
    entityOf(named).toLowerCase() === entityOf(route).toLowerCase();
  if (!entities || [...entities, ...(routes ?? [])].some(isSame)) return undefined;
  return `"${entityOf(route)}" is neither among the entities of the configuration file nor in one of its routes`;
}

/** The topic or queue of a route. */
export const entityOf = ({ topic, queue }: Pick<Route, "topic" | "queue">): string => (topic ?? queue) as string;
