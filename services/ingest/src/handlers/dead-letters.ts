import {
  type DeadLetter,
  type DeadLetterFilter,
  type DeadLetterPage,
  type DeadLetterState,
  DiscardMany,
  DiscardOne,
  type EncodedBody,
  type Problem,
  problem,
  RedriveMany,
  RedriveOne,
  type Result,
} from "@millrace/contracts";
import type { FastifyReply, FastifyRequest } from "fastify";
import { discardOne, redriveOne, resumeRedrive } from "../domain/dead-letters/decide.ts";
import { decideMany } from "../domain/dead-letters/many.ts";
import type { DeadLetters, Models, StoredDeadLetter, Streams } from "../domain/ports.ts";
import { type Handler, place } from "./call.ts";
import { jsonBody } from "./json-body.ts";
import { refuse } from "./problems.ts";

export type DeadLetterDeps = { deadLetters: DeadLetters; models: Models; streams: Pick<Streams, "room"> };

const LIMIT = 100;

/** `GET …/dead-letters`: a page, by default of those that are open. */
export const onListDeadLetters =
  ({ deadLetters }: DeadLetterDeps): Handler =>
  async (request, reply) => {
    const { state, after, limit, ...filter } = request.call.query as DeadLetterFilter & {
      state?: DeadLetterState | "all";
      after?: number;
      limit?: number;
    };
    const wrong = wrongTime(filter);
    if (wrong) return refuse(request, reply, { code: "invalid-query", detail: wrong });
    const { found, next } = await deadLetters.list(
      { ...project(request), ...filter },
      { select: state ?? "open", after: after ?? 0, limit: limit ?? LIMIT },
    );
    return { dead_letters: found.map(shown), ...(next === undefined ? {} : { next }) } satisfies DeadLetterPage;
  };

/** `GET …/dead-letters/{id}`: why, what came before, and what was decided. */
export const onGetDeadLetter =
  (deps: DeadLetterDeps): Handler =>
  async (request, reply) => {
    const found = await find(request, reply, deps);
    return found ? shown(found) : reply;
  };

/** `GET …/dead-letters/{id}/payload`: what died, byte for byte. */
export const onDeadLetterPayload =
  (deps: DeadLetterDeps): Handler =>
  async (request, reply) => {
    const found = await find(request, reply, deps);
    if (!found) return reply;
    const payload = await deps.deadLetters.payload(found);
    if (!payload) {
      const { stream, sequence } = found.record.request;
      return refuse(request, reply, { code: "payload-gone", detail: `${stream} does not hold ${sequence} any more` });
    }
    if (payload.headerLength !== undefined) reply.header("Inference-Header-Content-Length", payload.headerLength);
    return reply.type("application/octet-stream").send(payload.bytes);
  };

/** `POST …/dead-letters/{id}/redrive`: the next attempt, with the original payload or another. */
export const onRedriveDeadLetter = (deps: DeadLetterDeps): Handler =>
  deciding(deps, jsonBody(RedriveOne), async (request, reply, { payload, ...order }) => {
    const result = await redriveOne(deps, address(request), {
      ...order,
      ...decider(request),
      ...(payload === undefined ? {} : { payload: jsonBytes(payload) }),
    });
    return answer(request, reply, result);
  });

/** `POST …/dead-letters/{id}/discard`: it stays dead. */
export const onDiscardDeadLetter = (deps: DeadLetterDeps): Handler =>
  deciding(deps, jsonBody(DiscardOne), async (request, reply, order) =>
    answer(request, reply, await discardOne(deps, address(request), { ...order, ...decider(request) })),
  );

/** `POST …/dead-letters/redrive`: the open ones that match, and those whose redrive was interrupted. */
export const onRedriveDeadLetters = (deps: DeadLetterDeps): Handler =>
  deciding(deps, jsonBody(RedriveMany), async (request, reply, { filter = {}, limit = LIMIT, after = 0, ...order }) => {
    const wrong = wrongTime(filter);
    if (wrong) return refuse(request, reply, { code: "malformed-body", detail: wrong, at: "/filter" });
    const query = { ...project(request), ...filter };
    return await decideMany(deps.deadLetters, { query, after, limit, select: "redrivable" }, (it) =>
      it.decision?.decision === "redriven"
        ? resumeRedrive(deps, it, it.decision, order)
        : redriveOne(deps, it.address, { ...order, ...decider(request), sequence: it.sequence }),
    );
  });

/** `POST …/dead-letters/discard`: the open ones that match. */
export const onDiscardDeadLetters = (deps: DeadLetterDeps): Handler =>
  deciding(deps, jsonBody(DiscardMany), async (request, reply, { filter = {}, limit = LIMIT, after = 0, ...order }) => {
    const wrong = wrongTime(filter);
    if (wrong) return refuse(request, reply, { code: "malformed-body", detail: wrong, at: "/filter" });
    const query = { ...project(request), ...filter };
    return await decideMany(deps.deadLetters, { query, after, limit, select: "open" }, (it) =>
      discardOne(deps, it.address, { ...order, ...decider(request), sequence: it.sequence }),
    );
  });

/** A route that changes something: its order is read, and there is room for what follows from it. */
const deciding =
  <Order extends { dry_run?: boolean }>(
    { streams }: DeadLetterDeps,
    read: (request: FastifyRequest) => Result<Order>,
    decide: (request: FastifyRequest, reply: FastifyReply, order: Order) => Promise<unknown>,
  ): Handler =>
  async (request, reply) => {
    if (request.call.params.id !== undefined) request.call.id = request.call.params.id;
    const order = read(request);
    if (!order.ok) return refuse(request, reply, order.problem);
    const full = order.value.dry_run ? undefined : streams.room();
    if (full) return refuse(request, reply, full);
    return await decide(request, reply, order.value);
  };

function answer<Value>(request: FastifyRequest, reply: FastifyReply, result: Result<Value>): Value | FastifyReply {
  return result.ok ? result.value : refuse(request, reply, result.problem);
}

/** The dead letter of the path; undefined after answering that there is none. */
async function find(
  request: FastifyRequest,
  reply: FastifyReply,
  { deadLetters }: DeadLetterDeps,
): Promise<StoredDeadLetter | undefined> {
  const of = address(request);
  request.call.id = of.id;
  const found = await deadLetters.find(of);
  if (found) return found;
  const unknown: Problem = problem(
    "unknown-dead-letter",
    `the last outcome of ${of.id}, if it has one, is no dead letter`,
  ).problem;
  void refuse(request, reply, unknown);
  return undefined;
}

const shown = ({ sequence, record, decision }: StoredDeadLetter): DeadLetter => ({
  sequence,
  state: decision?.decision ?? "open",
  outcome: record,
  ...(decision ? { decision } : {}),
});

const address = (request: FastifyRequest) => ({ ...place(request.call), id: request.call.params.id! });
const project = ({ call }: FastifyRequest) => ({ tenant: call.params.tenant!, project: call.params.project! });
const decider = ({ call }: FastifyRequest) => ({ principal: call.caller.principal, at: new Date().toISOString() });
const jsonBytes = (value: unknown): EncodedBody => ({ bytes: Buffer.from(JSON.stringify(value)) });

const wrongTime = ({ from, to }: DeadLetterFilter): string | undefined => {
  const wrong = [from, to].find((time) => time !== undefined && Number.isNaN(Date.parse(time)));
  return wrong === undefined ? undefined : `"${wrong}" is not a time; write it as 2026-11-21T12:00:00Z`;
};
