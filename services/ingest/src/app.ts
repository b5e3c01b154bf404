import { LIMITS, OPERATIONS, type Operation, type OperationId } from "@millrace/contracts";
import { type Health, healthRoutes, type Logger, type Registry } from "@millrace/kit";
import Fastify, { type FastifyInstance } from "fastify";
import { meterDeadLetters, meterWaits } from "./adapters/metered.ts";
import type {
  Books,
  DeadLetters,
  Intake,
  Ledger,
  Models,
  OutcomeWaits,
  Routes,
  Streams,
  Tokens,
} from "./domain/ports.ts";
import { observe } from "./handlers/access-log.ts";
import { onAuditEntries, onAuditHead } from "./handlers/audit.ts";
import { onBulk } from "./handlers/bulk.ts";
import type { Handler } from "./handlers/call.ts";
import { onCheck } from "./handlers/check.ts";
import {
  onDeadLetterPayload,
  onDiscardDeadLetter,
  onDiscardDeadLetters,
  onGetDeadLetter,
  onListDeadLetters,
  onRedriveDeadLetter,
  onRedriveDeadLetters,
} from "./handlers/dead-letters.ts";
import { onDocs, onOpenapi } from "./handlers/documents.ts";
import { countListeners, type Listeners, onOutcomeEvents, onRequestEvents } from "./handlers/events.ts";
import { authenticate, guard } from "./handlers/guard.ts";
import { onListModels } from "./handlers/models.ts";
import {
  onInfer,
  onModelMetadata,
  onModelReady,
  onServerLive,
  onServerMetadata,
  onServerReady,
} from "./handlers/oip.ts";
import { bareProblem, problemErrors, refuse } from "./handlers/problems.ts";
import { onGetRequest } from "./handlers/request-state.ts";
import { onDeleteRoute, onGetRoute, onListRoutes, onPutRoute } from "./handlers/routes.ts";
import { onSubmit } from "./handlers/submit.ts";

export type AppDeps = {
  log: Logger;
  health: Health;
  metrics: Registry;
  tokens: Tokens;
  models: Models;
  streams: Streams;
  intake: Intake;
  waits: OutcomeWaits;
  ledger: Ledger;
  books: Books;
  deadLetters: DeadLetters;
  routes: Routes;
  /** Aborted when stopping begins: event streams end, waits answer. */
  signal: AbortSignal;
};

/** Routes that kit brings. */
type KitRoute = "health" | "ready" | "metrics";

/** What answers each operation; one that is missing does not compile. */
const handlersOf = (deps: AppDeps & { listeners: Listeners }): Record<Exclude<OperationId, KitRoute>, Handler> => ({
  submitRequest: onSubmit(deps),
  submitBulk: onBulk(deps),
  getRequest: onGetRequest(deps),
  requestEvents: onRequestEvents(deps),
  outcomeEvents: onOutcomeEvents(deps),
  listModels: onListModels(deps),
  auditEntries: onAuditEntries(deps),
  auditHead: onAuditHead(deps),
  listDeadLetters: onListDeadLetters(deps),
  getDeadLetter: onGetDeadLetter(deps),
  deadLetterPayload: onDeadLetterPayload(deps),
  check: onCheck(deps),
  redriveDeadLetter: onRedriveDeadLetter(deps),
  redriveDeadLetters: onRedriveDeadLetters(deps),
  discardDeadLetter: onDiscardDeadLetter(deps),
  discardDeadLetters: onDiscardDeadLetters(deps),
  listRoutes: onListRoutes(deps),
  getRoute: onGetRoute(deps),
  putRoute: onPutRoute(deps),
  deleteRoute: onDeleteRoute(deps),
  serverMetadata: onServerMetadata,
  serverLive: onServerLive,
  serverReady: onServerReady(deps),
  modelMetadata: onModelMetadata(deps),
  modelReady: onModelReady(deps),
  modelInfer: onInfer(deps),
  modelVersionMetadata: onModelMetadata(deps),
  modelVersionReady: onModelReady(deps),
  modelVersionInfer: onInfer(deps),
  projectServerMetadata: onServerMetadata,
  projectServerLive: onServerLive,
  projectServerReady: onServerReady(deps),
  projectModelMetadata: onModelMetadata(deps),
  projectModelReady: onModelReady(deps),
  projectModelInfer: onInfer(deps),
  projectModelVersionMetadata: onModelMetadata(deps),
  projectModelVersionReady: onModelReady(deps),
  projectModelVersionInfer: onInfer(deps),
  openapi: onOpenapi,
  docs: onDocs,
});

/** The HTTP application: every operation of the contracts with its guard and handler, and kit's health routes. */
export function buildApp(deps: AppDeps): FastifyInstance {
  const { log, tokens } = deps;
  const app = Fastify({
    logger: false, // one line per call, written by `observe`
    bodyLimit: LIMITS.body_bytes,
    requestTimeout: REQUEST_TIMEOUT_MS,
    exposeHeadRoutes: false,
    return503OnClosing: false, // what is under way is finished; new connections are refused by the closed listener
    routerOptions: { maxParamLength: 1_024 }, // longer than a token may be, so that it is refused by its name
    frameworkErrors: (error, request, reply) =>
      void refuse(request, reply, { code: "invalid-token", detail: error.message }),
    clientErrorHandler(error, socket) {
      if (socket.writable) socket.end(bareProblem(error));
      else socket.destroy();
    },
  });
  app.decorateRequest("call");
  // A kept-alive connection would bring new work for as long as its client likes, and closing would never end.
  app.addHook("onSend", (_request, reply, payload, done) => {
    if (deps.signal.aborted) reply.header("connection", "close");
    done(null, payload);
  });
  observe(app, log, deps.metrics);
  problemErrors(app, log);
  app.setNotFoundHandler((request, reply) => {
    const known = authenticate(request, tokens);
    if ("problem" in known) return refuse(request, reply, known.problem);
    return refuse(request, reply, {
      code: "unknown-route",
      detail: `${request.method} ${request.url.split("?", 1)[0]} is not a route`,
    });
  });
  // Bodies arrive as bytes, decoded once by the codec; the guards have looked at the content type by then.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

  const handlers = handlersOf({
    ...deps,
    waits: meterWaits(deps.waits, deps.metrics),
    deadLetters: meterDeadLetters(deps.deadLetters, deps.metrics),
    listeners: countListeners(deps.metrics),
  });
  const { submitBulk, ...whole } = handlers;
  for (const [id, handler] of Object.entries(whole)) register(app, id as OperationId, handler, tokens);
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_request, payload, done) => done(null, payload)); // read by its handler
    register(scope, "submitBulk", submitBulk, tokens);
  });
  void app.register(async (scope) => {
    const metrics = guard("metrics", OPERATIONS.metrics, tokens);
    const open = {
      health: guard("health", OPERATIONS.health, tokens),
      ready: guard("ready", OPERATIONS.ready, tokens),
    };
    scope.addHook("onRequest", function (request, reply, done) {
      const url = request.routeOptions.url;
      const check = url === "/metrics" ? metrics : url === "/healthz" ? open.health : open.ready;
      check.call(this, request, reply, done);
    });
    healthRoutes(scope, deps.health, deps.metrics);
  });
  return app;
}

/** Bounds how long one request may take to arrive, the bulk route's included. */
const REQUEST_TIMEOUT_MS = 600_000;

function register(app: FastifyInstance, id: OperationId, handler: Handler, tokens: Tokens): void {
  const operation: Operation = OPERATIONS[id];
  app.route({
    method: operation.method,
    url: operation.path.replace(/\{(\w+)\}/g, ":$1"),
    config: { operation: id },
    onRequest: guard(id, operation, tokens),
    handler,
  });
}
