import { ERRORS, type ErrorCode } from "../errors.ts";
import { type Answer, COMMON_ERRORS, type Content, type Operation } from "../http/operation.ts";
import { OPERATIONS } from "../http/operations.ts";
import { PROBLEM_MEDIA_TYPE, ProblemDocument } from "../http/schemas.ts";
import { componentsOf, type Json } from "./components.ts";

/** The OpenAPI 3.1 document of the HTTP API (https://spec.openapis.org/oas/v3.1.1), from {@link OPERATIONS}. */
export function openapiDocument(): Json {
  const components = componentsOf("#/components/schemas/");
  const paths: Record<string, Record<string, Json>> = {};
  for (const [id, operation] of Object.entries<Operation>(OPERATIONS)) {
    const method = operation.method.toLowerCase();
    paths[operation.path] = {
      ...paths[operation.path],
      [method]: operationObject(id, operation, components.reference),
    };
  }
  const tags = [...new Set(Object.values<Operation>(OPERATIONS).map(({ tag }) => tag))];
  return {
    openapi: "3.1.1",
    info: {
      title: "Millrace",
      version: "1",
      description: "Readings and documents in, outcomes out. Errors are RFC 9457 documents with permanent codes.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ token: [] }],
    tags: tags.map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      schemas: components.all(),
    },
  };
}

type Reference = (schema: unknown) => Json;

function operationObject(id: string, operation: Operation, reference: Reference): Json {
  const { tag, summary, description, needs } = operation;
  const verb = needs === "public" || needs === "token" ? undefined : `The token must grant \`${needs}\`.`;
  const said = [description, verb].filter((text) => text !== undefined).join("\n\n");
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(said ? { description: said } : {}),
    ...(needs === "public" ? { security: [] } : {}),
    ...parameters(operation, reference),
    ...(operation.body ? { requestBody: { required: true, content: content(operation.body.content, reference) } } : {}),
    responses: { ...answers(operation, reference), ...errors(operation, reference) },
  };
}

function parameters(operation: Operation, reference: Reference): Record<string, Json> {
  const list: Json[] = [];
  for (const [place, schema] of [
    ["path", operation.params],
    ["query", operation.query],
    ["header", operation.headers],
  ] as const)
    for (const [name, property] of Object.entries(schema?.properties ?? {})) {
      if (place === "header" && name === "accept") continue; // OpenAPI says it by the media types of the answers
      const { description, ...rest } = reference(property) as Record<string, Json>;
      const required = place === "path" || (schema?.required?.includes(name) ?? false);
      list.push({
        name: place === "header" ? titleCase(name) : name,
        in: place,
        required,
        ...(description === undefined ? {} : { description }),
        schema: rest,
      });
    }
  return list.length > 0 ? { parameters: list } : {};
}

const answers = (operation: Operation, reference: Reference): Record<string, Json> =>
  Object.fromEntries(
    Object.entries<Answer>(operation.answers).map(([status, answer]) => [
      status,
      {
        description: answer.description,
        ...(answer.headers
          ? {
              headers: Object.fromEntries(
                Object.entries(answer.headers).map(([name, description]) => [
                  name,
                  { description, schema: { type: "string" } },
                ]),
              ),
            }
          : {}),
        ...(answer.content ? { content: content(answer.content, reference) } : {}),
      },
    ]),
  );

/** Error codes of an operation, by status. */
const RETRY_AFTER: Json = {
  description: "Seconds after which it is worth trying again; absent where that would not help",
  schema: { type: "integer", minimum: 1 },
};

function errors(operation: Operation, reference: Reference): Record<string, Json> {
  const codes: readonly ErrorCode[] =
    operation.needs === "public" ? operation.errors : [...COMMON_ERRORS, ...operation.errors];
  const byStatus = Map.groupBy(codes, (code) => ERRORS[code].status);
  const statuses = [...byStatus.keys()].filter((status) => !(status in operation.answers)).sort((a, b) => a - b);
  return Object.fromEntries(
    statuses.map((status) => [
      String(status),
      {
        description: byStatus
          .get(status)!
          .map((code) => `\`${code}\`: ${ERRORS[code].title}`)
          .join("; "),
        ...(status === 429 || status === 503 ? { headers: { "Retry-After": RETRY_AFTER } } : {}),
        content: { [PROBLEM_MEDIA_TYPE]: { schema: reference(ProblemDocument) } },
      },
    ]),
  );
}

const content = (types: Content, reference: Reference): Json =>
  Object.fromEntries(
    Object.entries(types).map(([type, schema]) => [type, schema === null ? {} : { schema: reference(schema) }]),
  );

const titleCase = (name: string) => name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
