import {
  PROJECT_ROUTES_MAX,
  type Problem,
  problem,
  type Result,
  Route,
  type RouteList,
  routeMistakes,
} from "@millrace/contracts";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Project } from "../domain/grants.ts";
import type { Routes } from "../domain/ports.ts";
import type { Handler } from "./call.ts";
import { jsonBody } from "./json-body.ts";
import { refuse } from "./problems.ts";

export type RouteDeps = { routes: Routes };

/** `GET …/routes`: those of the project that the bucket holds. */
export const onListRoutes =
  ({ routes }: RouteDeps): Handler =>
  async (request): Promise<RouteList> => ({
    routes: [...routes.all()]
      .filter((route) => isOf(route, project(request)))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  });

/** `GET …/routes/{route}`. */
export const onGetRoute = (deps: RouteDeps): Handler =>
  reached(async (request, reply) => {
    const route = await deps.routes.get(name(request));
    return route && isOf(route, project(request)) ? route : refuse(request, reply, unknown(request));
  });

/** `PUT …/routes/{route}`: a route of this project, new or changed. */
export const onPutRoute = ({ routes }: RouteDeps): Handler => {
  const read = jsonBody(Route);
  return reached(async (request, reply) => {
    const of = project(request);
    const body = read(request);
    if (!body.ok) return refuse(request, reply, body.problem);
    const wrong = mistakeOf(body.value, { ...of, name: name(request) });
    if (wrong) return refuse(request, reply, wrong);
    return answer(
      request,
      reply,
      await routes.change(name(request), (known) => {
        // Whose it is stays untold: a name is taken, and no more.
        if (known && !isOf(known, of))
          return problem("route-name-taken", `"${name(request)}" is in use outside this project`);
        const count = [...routes.all()].filter((route) => isOf(route, of)).length;
        if (!known && count >= PROJECT_ROUTES_MAX)
          return problem("too-many-routes", `the project has ${count} routes, and may have ${PROJECT_ROUTES_MAX}`);
        return { ok: true, value: { next: body.value } };
      }),
    );
  });
};

/** `DELETE …/routes/{route}`: it ends. */
export const onDeleteRoute = ({ routes }: RouteDeps): Handler =>
  reached(async (request, reply) =>
    answer(
      request,
      reply,
      await routes.change(name(request), (known) =>
        known && isOf(known, project(request))
          ? { ok: true, value: { next: undefined } }
          : { ok: false, problem: unknown(request) },
      ),
    ),
  );

/** What a body says that the path does not, or that no schema can say. */
function mistakeOf(route: Route, path: Project & { name: string }): Problem | undefined {
  for (const part of ["name", "tenant", "project"] as const)
    if (route[part] !== path[part])
      return {
        code: "malformed-body",
        detail: `the route's ${part} is ${route[part] === undefined ? "not given" : `"${route[part]}"`}, the path's "${path[part]}"`,
        at: `/${part}`,
      };
  const [first] = routeMistakes(route);
  return first && { code: "malformed-body", detail: `the route ${first.message}`, at: first.at };
}

/** The bucket is read and written over NATS, which may not answer. */
const reached =
  (handle: Handler): Handler =>
  async (request, reply) => {
    try {
      return await handle(request, reply);
    } catch (cause) {
      return refuse(request, reply, {
        code: "unavailable",
        detail: `the bucket of routes: ${(cause as Error).message}`,
      });
    }
  };

const answer = (request: FastifyRequest, reply: FastifyReply, result: Result<Route>): Route | FastifyReply =>
  result.ok ? result.value : refuse(request, reply, result.problem);

const isOf = (route: Route, { tenant, project }: Project): boolean =>
  route.tenant === tenant && route.project === project;
const project = ({ call }: FastifyRequest): Project => ({ tenant: call.params.tenant!, project: call.params.project! });
const name = ({ call }: FastifyRequest): string => call.params.route!;
const unknown = (request: FastifyRequest): Problem => ({
  code: "unknown-bridge-route",
  detail: `the project has no route "${name(request)}"`,
});
