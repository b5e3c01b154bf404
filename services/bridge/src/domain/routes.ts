import { OUTCOME_STATES, TOKEN_PATTERN } from "@millrace/contracts";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";

const Token = Type.String({ pattern: TOKEN_PATTERN });

/** Which outcomes are mirrored to which topic. Absent parts match anything. */
export const Route = Type.Object(
  {
    name: Token,
    tenant: Type.Optional(Token),
    project: Type.Optional(Token),
    model: Type.Optional(Token),
    state: Type.Optional(Type.Enum([...OUTCOME_STATES])),
    topic: Type.String({ minLength: 1, maxLength: 260, description: "Name of a topic or queue" }),
  },
  { additionalProperties: false },
);
export type Route = Static<typeof Route>;

const RoutesFile = Type.Object({ routes: Type.Array(Route, { minItems: 1 }) }, { additionalProperties: false });

/** Without a routes file: everything goes to one topic. */
export const DEFAULT_ROUTES: readonly Route[] = [{ name: "predictions", topic: "predictions" }];

/** The routes of a parsed file, or every mistake in it. */
export function parseRoutes(value: unknown): { ok: true; routes: Route[] } | { ok: false; mistakes: string[] } {
  const mistakes = Value.Errors(RoutesFile, value).map((error) => `${error.instancePath || "/"} ${error.message}`);
  if (mistakes.length > 0) return { ok: false, mistakes };
  const { routes } = value as Static<typeof RoutesFile>;
  const twice = routes.filter((route, index) => routes.findIndex((other) => other.name === route.name) !== index);
  if (twice.length > 0)
    return {
      ok: false,
      mistakes: twice.map(({ name }) => `the name "${name}" is used by two routes; it names a durable consumer`),
    };
  return { ok: true, routes };
}
