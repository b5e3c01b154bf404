import { type Operation, type OperationId, type Problem, problem, VERBS, type Verb } from "@millrace/contracts";
import { childTraceparent } from "@millrace/kit";
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from "fastify";
import { Compile } from "typebox/compile";
import { Value } from "typebox/value";
import { bearerToken, type Caller, onlyProject, refusal } from "../domain/grants.ts";
import { headerCheck, mediaCheck } from "../domain/headers.ts";
import type { Tokens } from "../domain/ports.ts";
import { header } from "./call.ts";
import { refuse } from "./problems.ts";

const NOBODY: Caller = { principal: "nobody", grants: [] };

/** Who asks, or what is wrong with the token. */
export function authenticate(request: FastifyRequest, tokens: Tokens): { caller: Caller } | { problem: Problem } {
  const token = bearerToken(request.headers.authorization);
  const caller = token === undefined ? undefined : tokens.find(token);
  if (caller) return { caller };
  const given = request.headers.authorization === undefined ? "no Authorization header came" : "the token is not known";
  return problem("unauthenticated", given);
}

/**
 * Checks everything that can be checked before a byte of the body is read: token, names, grant, query, headers, media
 * type. Built once per operation.
 */
export function guard(id: OperationId, operation: Operation, tokens: Tokens): onRequestHookHandler {
  const checks = [params(operation), grant(operation), query(operation), headers(operation), media(operation)].filter(
    (check) => check !== undefined,
  );
  return (request, reply, next) => {
    request.call = {
      operation: id,
      traceparent: childTraceparent(header(request, "traceparent")),
      caller: NOBODY,
      params: request.params as Record<string, string>,
      query: {},
    };
    if (operation.needs !== "public") {
      const known = authenticate(request, tokens);
      if ("problem" in known) return stop(request, reply, known.problem);
      request.call.caller = known.caller;
    }
    for (const check of checks) {
      const wrong = check(request);
      if (wrong) return stop(request, reply, wrong);
    }
    next();
  };
}

type Check = (request: FastifyRequest) => Problem | undefined;

function stop(request: FastifyRequest, reply: FastifyReply, wrong: Problem): void {
  // The body, if any, is not read: the connection cannot be used again.
  if (request.headers["content-length"] !== undefined || request.headers["transfer-encoding"] !== undefined)
    reply.header("Connection", "close");
  void refuse(request, reply, wrong);
}

function params(operation: Operation): Check | undefined {
  if (!operation.params) return undefined;
  const validator = Compile(operation.params);
  return (request) => {
    if (validator.Check(request.params)) return undefined;
    const name = validator.Errors(request.params)[0]?.instancePath.slice(1) ?? "a name";
    return { code: "invalid-token", detail: `${name} in the path has characters that a name cannot have`, at: name };
  };
}

function grant({ needs, path }: Operation): Check | undefined {
  if (!isVerb(needs)) return undefined;
  if (path.includes("{tenant}"))
    return ({ call }) => refusal(call.caller, needs, { tenant: call.params.tenant!, project: call.params.project! });
  // The ledger's head and the books are of all projects.
  if (needs === "audit" || needs === "operate")
    return ({ call: { caller } }) =>
      caller.grants.some(({ verbs }) => verbs.includes(needs))
        ? undefined
        : { code: "forbidden", detail: `this token does not grant "${needs}" on any project` };
  return ({ call }) => {
    const project = onlyProject(call.caller, needs);
    if (!project.ok) return project.problem;
    call.params = { ...call.params, ...project.value };
    return undefined;
  };
}

function query(operation: Operation): Check | undefined {
  const schema = operation.query;
  if (!schema) return undefined;
  const validator = Compile(schema);
  return (request) => {
    const given = request.query as Record<string, unknown>;
    if (isEmpty(given)) return undefined;
    const stranger = Object.keys(given).find((name) => !Object.hasOwn(schema.properties, name));
    if (stranger !== undefined)
      return { code: "invalid-query", detail: `"${stranger.slice(0, 64)}" is not a parameter of this route` };
    const converted = Value.Convert(schema, { ...given }) as Record<string, unknown>;
    if (!validator.Check(converted)) {
      const first = validator.Errors(converted)[0];
      return { code: "invalid-query", detail: `${first?.instancePath.slice(1)} ${first?.message}` };
    }
    request.call.query = converted;
    return undefined;
  };
}

function headers(operation: Operation): Check | undefined {
  const check = operation.headers && headerCheck(operation.headers);
  return check && ((request) => check(request.headers));
}

function media(operation: Operation): Check | undefined {
  const check = operation.body && mediaCheck(Object.keys(operation.body.content));
  return check && ((request) => check(request.headers));
}

const isVerb = (needs: Operation["needs"]): needs is Verb => (VERBS as readonly string[]).includes(needs);

function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}
