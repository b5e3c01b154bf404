import Type, { type TObject } from "typebox";
import { AuditHead, AuditPage, AuditQuestion } from "../audit.ts";
import { CheckReport } from "../books.ts";
import {
  DEAD_LETTER_STATES,
  DEAD_LETTERS_LIMIT_MAX,
  DeadLetter,
  DeadLetterFilter,
  DeadLetterPage,
  DecisionResult,
  DecisionResults,
  DiscardMany,
  DiscardOne,
  RedriveMany,
  RedriveOne,
} from "../dead-letters.ts";
import type { ErrorCode } from "../errors.ts";
import { HEADER_LENGTH, InferRequest, InferResponse } from "../oip.ts";
import { Route, RouteList } from "../routes.ts";
import { PRIORITIES, TOKEN_PATTERN } from "../subjects.ts";
import { LIMITS } from "./limits.ts";
import type { Answer, Content, Operation } from "./operation.ts";
import {
  BulkSummary,
  Live,
  ModelList,
  ModelMetadata,
  ModelReady,
  Ready,
  RequestState,
  ServerMetadata,
  Submission,
} from "./schemas.ts";

/** The HTTP API, once. A route exists because it stands here. */

const JSON_TYPE = "application/json";
const BINARY = "application/octet-stream";
const EVENT_STREAM = "text/event-stream";

const token = (description: string) => Type.String({ pattern: TOKEN_PATTERN, description });
const Tenant = token("Tenant");
const Project = token("Project");
const Model = token("Name of a deployed model");
const Id = token("Id of a request");
const Version = Type.String({ pattern: "^[A-Za-z0-9._-]{1,64}$", description: "Version of the model" });

const Headers = {
  key: Type.String({
    pattern: "^[\\x21-\\x7e]{1,255}$",
    description:
      "Names the request, so that it can be sent again without harm: the same key and body are the same job, for as long as the job is retained. Another body is refused. Surrounding double quotes are not part of the key.",
  }),
  prefer: Type.String({
    maxLength: 256,
    description: `RFC 7240: \`wait=N\` waits up to N seconds (at most ${LIMITS.wait_s}) for the outcome`,
  }),
  correlation: Type.String({
    pattern: "^[A-Za-z0-9._:@/+=-]{1,128}$",
    description: "Follows the request to every receiver; the request's id when absent",
  }),
  traceparent: Type.String({ maxLength: 256, description: "W3C Trace Context; a trace is started when absent" }),
  priority: Type.Enum([...PRIORITIES], { description: "Workers take higher ones first; `normal` when absent" }),
  deadline: Type.String({
    maxLength: 40,
    pattern: "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?(Z|[+-]\\d\\d:\\d\\d)$",
    description: "RFC 3339: a request that has not begun by then dies with its reason instead of running late",
  }),
  headerLength: Type.String({
    pattern: "^[0-9]{1,7}$",
    description: "Length in bytes of the JSON part; present exactly when binary tensors follow it",
  }),
};

const submitHeaders = {
  "idempotency-key": Type.Optional(Headers.key),
  "x-correlation-id": Type.Optional(Headers.correlation),
  traceparent: Type.Optional(Headers.traceparent),
  "millrace-priority": Type.Optional(Headers.priority),
  "millrace-deadline": Type.Optional(Headers.deadline),
};
const inferHeaders = Type.Object({
  ...submitHeaders,
  prefer: Type.Optional(Headers.prefer),
  [HEADER_LENGTH]: Type.Optional(Headers.headerLength),
});
const Priority = Type.Object({ priority: Type.Optional(Headers.priority) });

const inferBody = { content: { [JSON_TYPE]: InferRequest, [BINARY]: null } as Content };
const json = (schema: Content[string], description: string): Answer => ({
  description,
  content: { [JSON_TYPE]: schema },
});
const correlated = { "X-Correlation-Id": "The correlation id that the request carries" };
const events = (description: string): Answer => ({ description, content: { [EVENT_STREAM]: null } });

const SUBMIT_ERRORS = [
  "malformed-json",
  "malformed-body",
  "unsupported-media-type",
  "unknown-input",
  "missing-input",
  "wrong-datatype",
  "wrong-shape",
  "wrong-value",
  "too-many-rows",
  "body-too-large",
  "invalid-token",
  "invalid-header",
  "invalid-query",
  "unknown-model",
  "idempotency-conflict",
  "tenant-over-share",
  "overloaded",
  "too-late",
  "storage-full",
  "unavailable",
] as const satisfies readonly ErrorCode[];

const submitRequest: Operation = {
  method: "POST",
  path: "/v1/{tenant}/{project}/models/{model}/requests",
  tag: "Requests",
  summary: "Submit a request",
  description:
    "Validates the request against the model's signature, stores it, and answers. From then on it will have exactly one outcome. The body is an Open Inference Protocol v2 request, JSON or with binary tensors.",
  needs: "submit",
  params: Type.Object({ tenant: Tenant, project: Project, model: Model }),
  query: Priority,
  headers: inferHeaders,
  body: inferBody,
  answers: {
    202: {
      ...json(Submission, "Accepted and stored"),
      headers: {
        Location: "Where its state is",
        "Idempotent-Replayed": "`true` when the key named this job before",
        "Preference-Applied": "The wait that was applied, when the outcome did not come in time",
        ...correlated,
      },
    },
    200: {
      ...json(RequestState, "The outcome came within `Prefer: wait=N`"),
      headers: { Location: "Where its state is", "Preference-Applied": "`wait=N`", ...correlated },
    },
  },
  errors: SUBMIT_ERRORS,
};

const submitBulk: Operation = {
  method: "POST",
  path: "/v1/{tenant}/{project}/models/{model}/requests/bulk",
  tag: "Requests",
  summary: "Submit readings in bulk",
  description: [
    "Reads one reading per line as a stream and packs them into requests with binary tensors.",
    "NDJSON: a line is (1) an object by feature names, each value a number, or for an input of higher rank the nested array over the axes between the first and the last; (2) an object by input names, each value the input's row, flat or nested, or a number where the row is one element; the two forms may be mixed, input by input; or (3), for a model with one input, the row itself.",
    "CSV (RFC 4180): the first line names a feature of every column, or the input itself where a row is one element; only for inputs whose rows are vectors or single elements.",
    "A line that cannot be used is reported with its number and the others go on. Blank lines are passed over.",
    "With `Idempotency-Key` a repeated upload of the same lines is the same requests.",
  ].join("\n\n"),
  needs: "submit",
  params: Type.Object({ tenant: Tenant, project: Project, model: Model }),
  query: Type.Object({
    ...Priority.properties,
    rows: Type.Optional(Type.Enum(["1"], { description: "One request per line, with a JSON body" })),
  }),
  headers: Type.Object(submitHeaders),
  body: { content: { "application/x-ndjson": null, "application/jsonl": null, "text/csv": null } },
  answers: { 202: { ...json(BulkSummary, "At least one line was accepted and stored"), headers: correlated } },
  errors: [...SUBMIT_ERRORS, "nothing-accepted", "line-too-long", "too-many-lines"],
};

const stateOf = Type.Object({ tenant: Tenant, project: Project, model: Model, id: Id });

const getRequest: Operation = {
  method: "GET",
  path: "/v1/{tenant}/{project}/models/{model}/requests/{id}",
  tag: "Requests",
  summary: "State and outcome of a request",
  needs: "read",
  params: stateOf,
  headers: Type.Object({
    accept: Type.Optional(Type.String({ maxLength: 1024, description: `\`${BINARY}\`: outputs as binary tensors` })),
  }),
  answers: {
    200: {
      description: `The state; with \`Accept: ${BINARY}\` the outputs follow the JSON as bytes`,
      content: { [JSON_TYPE]: RequestState, [BINARY]: null },
      headers: { "Inference-Header-Content-Length": "Length of the JSON part of a binary answer" },
    },
  },
  errors: ["unknown-request", "invalid-token", "unavailable"],
};

const requestEvents: Operation = {
  method: "GET",
  path: "/v1/{tenant}/{project}/models/{model}/requests/{id}/events",
  tag: "Events",
  summary: "The outcome of a request, as it comes",
  description:
    "Server-sent events: `pending` while there is no outcome, then `done` or `dead` with the request's state as data, then the end.",
  needs: "read",
  params: stateOf,
  answers: { 200: events("`pending`, then `done` or `dead`") },
  errors: ["unknown-request", "invalid-token", "too-many-listeners", "unavailable"],
};

const outcomeEvents: Operation = {
  method: "GET",
  path: "/v1/{tenant}/{project}/outcomes/events",
  tag: "Events",
  summary: "The outcomes of a project, as they come",
  description:
    "Server-sent events `done` and `dead`; `id` is the position in the outcome stream. With `Last-Event-ID` it goes on behind that one and misses none; without, it begins now. A reader that does not keep up is disconnected and resumes the same way.",
  needs: "read",
  params: Type.Object({ tenant: Tenant, project: Project }),
  headers: Type.Object({
    "last-event-id": Type.Optional(
      Type.String({ pattern: "^[0-9]{1,15}$", description: "The last id that was received; 0 for all" }),
    ),
  }),
  answers: { 200: events("`done` and `dead`, without end") },
  errors: ["invalid-token", "invalid-header", "too-many-listeners", "unavailable"],
};

const listModels: Operation = {
  method: "GET",
  path: "/v1/{tenant}/{project}/models",
  tag: "Models",
  summary: "The deployed models",
  needs: "read",
  params: Type.Object({ tenant: Tenant, project: Project }),
  answers: { 200: json(ModelList, "Their names, versions and signatures") },
  errors: ["invalid-token"],
};

const GRANT =
  "Tenant and project are those of the token's single grant; with several, use the same path under /v1/{tenant}/{project}.";

/** The Open Inference Protocol v2 at a prefix: at the root for its clients as they are, and within a project. */
function oip(prefix: "" | "/v1/{tenant}/{project}") {
  const rooted = prefix === "";
  const scope: TObject["properties"] = rooted ? {} : { tenant: Tenant, project: Project };
  const common: ErrorCode[] = rooted ? ["ambiguous-grant", "invalid-token"] : ["invalid-token"];
  const operation = (
    of: Omit<Operation, "tag" | "path" | "params"> & { path: string; params?: TObject["properties"] },
  ): Operation => {
    const { path, params = {}, errors, needs, description, ...rest } = of;
    const properties = { ...scope, ...params };
    const said = [description, rooted && needs !== "public" && needs !== "token" ? GRANT : undefined].filter(Boolean);
    return {
      ...rest,
      needs,
      tag: "Open Inference Protocol",
      path: `${prefix}/v2${path}`,
      ...(said.length > 0 ? { description: said.join(" ") } : {}),
      ...(Object.keys(properties).length > 0 ? { params: Type.Object(properties) } : {}),
      errors: needs === "public" || needs === "token" ? errors : [...new Set([...common, ...errors])],
    };
  };
  const model = (path: string, params: TObject["properties"]) => ({
    metadata: operation({
      method: "GET",
      path,
      params,
      summary: "Signature of a model",
      needs: "read",
      answers: { 200: json(ModelMetadata, "Inputs and outputs") },
      errors: ["unknown-model"],
    }),
    ready: operation({
      method: "GET",
      path: `${path}/ready`,
      params,
      summary: "Whether a model is deployed",
      needs: "read",
      answers: { 200: json(ModelReady, "It is") },
      errors: ["unknown-model"],
    }),
    infer: operation({
      method: "POST",
      path: `${path}/infer`,
      params,
      summary: "Infer and wait",
      description: `The same durable path as a submitted request; waits up to ${LIMITS.infer_wait_s} s for its outcome, or as \`Prefer: wait=N\` says.`,
      needs: "submit",
      query: Priority,
      headers: inferHeaders,
      body: inferBody,
      answers: {
        200: {
          description: "The outputs, JSON or binary as the request asked for each of them",
          content: { [JSON_TYPE]: InferResponse, [BINARY]: null },
          headers: {
            "Inference-Header-Content-Length": "Length of the JSON part of a binary answer",
            "Content-Location": "Where the request's state and proof are",
            ...correlated,
          },
        },
      },
      errors: [
        ...SUBMIT_ERRORS,
        "unknown-output",
        "wait-timeout",
        "deadline-exceeded",
        "poison-message",
        "malformed-message",
        "digest-mismatch",
        "model-failed",
        "model-crashed",
        "model-timeout",
        "model-invalid-output",
      ],
    }),
  });
  return {
    server: operation({
      method: "GET",
      path: "",
      summary: "Server metadata",
      needs: rooted ? "token" : "read",
      answers: { 200: json(ServerMetadata, "Name, version and extensions") },
      errors: [],
    }),
    live: operation({
      method: "GET",
      path: "/health/live",
      summary: "Whether the server runs",
      needs: "public",
      answers: { 200: json(Live, "It does") },
      errors: [],
    }),
    serverReady: operation({
      method: "GET",
      path: "/health/ready",
      summary: "Whether the server can take requests",
      needs: "public",
      answers: { 200: json(Ready, "It can"), 503: json(Ready, "It cannot now") },
      errors: [],
    }),
    model: model("/models/{model}", { model: Model }),
    version: model("/models/{model}/versions/{version}", { model: Model, version: Version }),
  };
}

const auditEntries: Operation = {
  method: "GET",
  path: "/v1/audit/entries",
  tag: "Audit",
  summary: "Entries of the ledger",
  description:
    "Only of a project that the token grants `audit` on; `tenant` and `project` may be left out when that is one project.",
  needs: "audit",
  query: AuditQuestion,
  answers: { 200: json(AuditPage, "A page of entries, and the end of the chain") },
  errors: ["invalid-query", "ambiguous-grant", "unavailable"],
};

const auditHead: Operation = {
  method: "GET",
  path: "/v1/audit/head",
  tag: "Audit",
  summary: "The end of the ledger's hash chain",
  needs: "audit",
  answers: { 200: json(AuditHead, "How many entries there are, and their chain hash") },
  errors: ["unavailable"],
};

const inProject = Type.Object({ tenant: Tenant, project: Project });

const listDeadLetters: Operation = {
  method: "GET",
  path: "/v1/{tenant}/{project}/dead-letters",
  tag: "Dead letters",
  summary: "The dead letters of a project",
  description: "In the order in which they died; by default those that are open.",
  needs: "read",
  params: inProject,
  query: Type.Object({
    ...DeadLetterFilter.properties,
    state: Type.Optional(Type.Enum([...DEAD_LETTER_STATES, "all"], { default: "open" })),
    after: Type.Optional(Type.Integer({ minimum: 0, description: "Go on behind this sequence: the last `next`" })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: DEAD_LETTERS_LIMIT_MAX, default: 100 })),
  }),
  answers: { 200: json(DeadLetterPage, "A page of them") },
  errors: ["invalid-token", "invalid-query", "unavailable"],
};

const getDeadLetter: Operation = {
  method: "GET",
  path: "/v1/{tenant}/{project}/models/{model}/dead-letters/{id}",
  tag: "Dead letters",
  summary: "One dead letter: why, what came before, and what was decided",
  needs: "read",
  params: stateOf,
  answers: { 200: json(DeadLetter, "The dead letter") },
  errors: ["invalid-token", "unknown-dead-letter", "unavailable"],
};

const deadLetterPayload: Operation = {
  method: "GET",
  path: "/v1/{tenant}/{project}/models/{model}/dead-letters/{id}/payload",
  tag: "Dead letters",
  summary: "What died, byte for byte",
  needs: "read",
  params: stateOf,
  answers: {
    200: {
      description: "The payload as it was stored; its digest is in the dead letter",
      content: { [BINARY]: null },
      headers: { "Inference-Header-Content-Length": "Length of the JSON part of a binary payload" },
    },
  },
  errors: ["invalid-token", "unknown-dead-letter", "payload-gone", "unavailable"],
};

const DECIDE_ERRORS = [
  "invalid-token",
  "malformed-json",
  "malformed-body",
  "unsupported-media-type",
  "unknown-dead-letter",
  "storage-full",
  "unavailable",
] as const satisfies readonly ErrorCode[];

const redriveDeadLetter: Operation = {
  method: "POST",
  path: "/v1/{tenant}/{project}/models/{model}/dead-letters/{id}/redrive",
  tag: "Dead letters",
  summary: "Run a dead letter again",
  description:
    "Makes the next attempt of the request, with its original payload or another. The same call again completes one that was interrupted; it never runs twice.",
  needs: "redrive",
  params: stateOf,
  body: { content: { [JSON_TYPE]: RedriveOne } },
  answers: { 200: json(DecisionResult, "It was redriven, or would be") },
  errors: [
    ...DECIDE_ERRORS,
    "dead-letter-decided",
    "dead-letter-replaced",
    "payload-gone",
    "unknown-model",
    "unknown-input",
    "missing-input",
    "wrong-datatype",
    "wrong-shape",
    "wrong-value",
    "body-too-large",
  ],
};

const redriveDeadLetters: Operation = {
  method: "POST",
  path: "/v1/{tenant}/{project}/dead-letters/redrive",
  tag: "Dead letters",
  summary: "Run many dead letters again",
  description: "The open ones that the filter matches, oldest first. One that cannot be is reported, the others go on.",
  needs: "redrive",
  params: inProject,
  body: { content: { [JSON_TYPE]: RedriveMany } },
  answers: { 200: json(DecisionResults, "What came of each") },
  errors: DECIDE_ERRORS,
};

const discardDeadLetter: Operation = {
  method: "POST",
  path: "/v1/{tenant}/{project}/models/{model}/dead-letters/{id}/discard",
  tag: "Dead letters",
  summary: "Let a dead letter rest",
  description: "It stays dead, and out of the list of those that are open.",
  needs: "redrive",
  params: stateOf,
  body: { content: { [JSON_TYPE]: DiscardOne } },
  answers: { 200: json(DecisionResult, "It was discarded, or would be") },
  errors: [...DECIDE_ERRORS, "dead-letter-decided", "dead-letter-replaced"],
};

const discardDeadLetters: Operation = {
  method: "POST",
  path: "/v1/{tenant}/{project}/dead-letters/discard",
  tag: "Dead letters",
  summary: "Let many dead letters rest",
  needs: "redrive",
  params: inProject,
  body: { content: { [JSON_TYPE]: DiscardMany } },
  answers: { 200: json(DecisionResults, "What came of each") },
  errors: DECIDE_ERRORS,
};

const check: Operation = {
  method: "GET",
  path: "/v1/check",
  tag: "Operations",
  summary: "Whether the books balance",
  description:
    "Reads the streams of all tenants: accepted = done + dead + pending, gaps, effects without outcome and outcomes without effect, consumers that stand still. Takes seconds per million requests.",
  needs: "operate",
  answers: { 200: json(CheckReport, "The books, balanced or not") },
  errors: ["unavailable"],
};

const ofRoute = Type.Object({ ...inProject.properties, route: token("Name of the route") });

const listRoutes: Operation = {
  method: "GET",
  path: "/v1/{tenant}/{project}/routes",
  tag: "Routes",
  summary: "What of the project is mirrored to Service Bus",
  description: "The routes that were put here. Those of the bridge's configuration file are not among them.",
  needs: "operate",
  params: inProject,
  answers: { 200: json(RouteList, "The routes, by name") },
  errors: ["invalid-token"],
};

const getRoute: Operation = {
  method: "GET",
  path: "/v1/{tenant}/{project}/routes/{route}",
  tag: "Routes",
  summary: "One route",
  needs: "operate",
  params: ofRoute,
  answers: { 200: json(Route, "The route") },
  errors: ["invalid-token", "unknown-bridge-route", "unavailable"],
};

const putRoute: Operation = {
  method: "PUT",
  path: "/v1/{tenant}/{project}/routes/{route}",
  tag: "Routes",
  summary: "Mirror outcomes of the project to a topic or queue, or change how",
  description:
    "Takes effect within moments, without a restart. A new route is sent what is retained and matches (`begin: new`: what comes); one that is changed goes on where it was. The route names the tenant and project of the path.",
  needs: "operate",
  params: ofRoute,
  body: { content: { [JSON_TYPE]: Route } },
  answers: { 200: json(Route, "The route, as it is in force") },
  errors: [
    "invalid-token",
    "malformed-json",
    "malformed-body",
    "unsupported-media-type",
    "route-name-taken",
    "too-many-routes",
    "unavailable",
  ],
};

const deleteRoute: Operation = {
  method: "DELETE",
  path: "/v1/{tenant}/{project}/routes/{route}",
  tag: "Routes",
  summary: "End a route",
  description:
    "What it had not sent yet is not sent, and its position is forgotten: a route of the same name begins anew.",
  needs: "operate",
  params: ofRoute,
  answers: { 200: json(Route, "The route that ended") },
  errors: ["invalid-token", "unknown-bridge-route", "unavailable"],
};

const root = oip("");
const project = oip("/v1/{tenant}/{project}");

export const OPERATIONS = {
  submitRequest,
  submitBulk,
  getRequest,
  requestEvents,
  outcomeEvents,
  listModels,
  auditEntries,
  auditHead,
  listDeadLetters,
  getDeadLetter,
  deadLetterPayload,
  redriveDeadLetter,
  redriveDeadLetters,
  discardDeadLetter,
  discardDeadLetters,
  check,
  listRoutes,
  getRoute,
  putRoute,
  deleteRoute,
  serverMetadata: root.server,
  serverLive: root.live,
  serverReady: root.serverReady,
  modelMetadata: root.model.metadata,
  modelReady: root.model.ready,
  modelInfer: root.model.infer,
  modelVersionMetadata: root.version.metadata,
  modelVersionReady: root.version.ready,
  modelVersionInfer: root.version.infer,
  projectServerMetadata: project.server,
  projectServerLive: project.live,
  projectServerReady: project.serverReady,
  projectModelMetadata: project.model.metadata,
  projectModelReady: project.model.ready,
  projectModelInfer: project.model.infer,
  projectModelVersionMetadata: project.version.metadata,
  projectModelVersionReady: project.version.ready,
  projectModelVersionInfer: project.version.infer,
  openapi: {
    method: "GET",
    path: "/openapi.json",
    tag: "Documents",
    summary: "This document",
    needs: "token",
    answers: { 200: { description: "OpenAPI 3.1", content: { [JSON_TYPE]: null } } },
    errors: [],
  },
  docs: {
    method: "GET",
    path: "/docs",
    tag: "Documents",
    summary: "This document as a page",
    description: "One self-contained HTML page that loads nothing else.",
    needs: "token",
    answers: { 200: { description: "HTML", content: { "text/html": null } } },
    errors: [],
  },
  health: {
    method: "GET",
    path: "/healthz",
    tag: "Health",
    summary: "Whether the process runs",
    needs: "public",
    answers: { 200: { description: "It does", content: { [JSON_TYPE]: null } } },
    errors: [],
  },
  ready: {
    method: "GET",
    path: "/readyz",
    tag: "Health",
    summary: "Whether the process can do its work, and what it lacks",
    needs: "public",
    answers: {
      200: { description: "It can", content: { [JSON_TYPE]: null } },
      503: { description: "It cannot now", content: { [JSON_TYPE]: null } },
    },
    errors: [],
  },
  metrics: {
    method: "GET",
    path: "/metrics",
    tag: "Health",
    summary: "Metrics in Prometheus text format",
    needs: "token",
    answers: { 200: { description: "Metrics", content: { "text/plain": null } } },
    errors: [],
  },
} as const satisfies Record<string, Operation>;

export type OperationId = keyof typeof OPERATIONS;
