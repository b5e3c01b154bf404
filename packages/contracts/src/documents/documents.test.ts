import schema from "@asyncapi/specs/schemas/3.0.0.json" with { type: "json" };
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv } from "ajv";
import formats from "ajv-formats";
import { describe, expect, it } from "vitest";
import { ERRORS } from "../errors.ts";
import { COMMON_ERRORS, type Operation } from "../http/operation.ts";
import { OPERATIONS } from "../http/operations.ts";
import { MESSAGES } from "../messages.ts";
import { STREAMS } from "../streams.ts";
import { SUBMISSION_CALL } from "../submission-call.ts";
import { asyncapiDocument } from "./asyncapi.ts";
import { errorsPage } from "./markdown.ts";
import { openapiDocument } from "./openapi.ts";

type Tree = { [name: string]: Tree };

describe("the OpenAPI document", () => {
  it("is one, by OpenAPI's own schema", async () => {
    const result = await new Validator().validate(structuredClone(openapiDocument()) as Record<string, unknown>);
    expect(result).toMatchObject({ valid: true });
  });

  it("has every operation, each with its parameters and a problem for each of its errors", () => {
    const { paths } = openapiDocument() as Tree;
    for (const [id, operation] of Object.entries<Operation>(OPERATIONS)) {
      const described = paths![operation.path]![operation.method.toLowerCase()]!;
      expect(described.operationId).toBe(id);
      const named = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
      expect([id, Object.keys(operation.params?.properties ?? {}).sort()]).toEqual([id, named]);
      for (const code of operation.errors)
        expect([id, code, Object.keys(described.responses!)]).toEqual([
          id,
          code,
          expect.arrayContaining([String(ERRORS[code].status)]),
        ]);
    }
  });

  it("names every code that HTTP clients can get", () => {
    const named = new Set<string>([
      ...COMMON_ERRORS,
      "unknown-route",
      "malformed-http",
      "headers-too-large",
      "request-timeout",
      // Reasons of failed deliveries, which are told in events.
      "delivery-refused",
      "delivery-exhausted",
      // Reasons of messages that are dead-lettered at Service Bus.
      "invalid-property",
      ...Object.values<Operation>(OPERATIONS).flatMap(({ errors }) => errors),
    ]);
    expect(Object.keys(ERRORS).filter((code) => !named.has(code))).toEqual([]);
  });

  it("resolves every reference it makes", () => {
    const document = openapiDocument() as Tree;
    const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(
      ([, name]) => name!,
    );
    expect(references.length).toBeGreaterThan(10);
    for (const name of references) expect(document.components!.schemas).toHaveProperty(name);
  });
});

describe("the AsyncAPI document", () => {
  it("is one, by AsyncAPI's own schema", () => {
    // The schema carries JSON Schema's own meta-schema inside, so Ajv must not bring another.
    const ajv = new Ajv({ strict: false, allErrors: true, meta: false, validateSchema: false });
    formats.default(ajv);
    const validate = ajv.compile(schema);
    validate(asyncapiDocument());
    expect(validate.errors).toBeNull();
  });

  it("has a channel, a sender and a receiver for every message", () => {
    const { channels, operations } = asyncapiDocument() as Tree;
    for (const { name, address, from, to, stream } of MESSAGES) {
      const found = Object.values(channels!).find((channel) => Object.keys(channel.messages!).includes(name));
      expect(found?.address).toBe(address);
      expect(String(found?.description)).toContain(stream);
      for (const service of from.split(", ")) expect(operations).toHaveProperty([`${service}.send.${name}`]);
      for (const service of to) expect(operations).toHaveProperty([`${service}.receive.${name}`]);
    }
  });

  it("has the call that submits, with both answers, for who sends and who receives it", () => {
    const { channels, operations, components } = asyncapiDocument() as Tree;
    const { name, address, from, to } = SUBMISSION_CALL;
    expect(channels![name]!.address).toBe(address);
    for (const id of [...from.map((service) => `${service}.send.${name}`), `${to}.receive.${name}`])
      expect(operations![id]!.reply).toEqual({
        channel: { $ref: "#/channels/submission.answer" },
        messages: [
          { $ref: "#/channels/submission.answer/messages/submission.answer" },
          { $ref: "#/channels/submission.answer/messages/submission.refused" },
        ],
      });
    expect(components!.messages).toHaveProperty(["submission.refused"]);
  });

  it("names only addresses that the streams store", () => {
    for (const { address, stream } of MESSAGES) {
      const subject = address.replaceAll(/\{\w+\}/g, "x").split(".");
      const patterns = STREAMS.find(({ name }) => name === stream)!.subjects.map((pattern) => pattern.split("."));
      const stores = patterns.some(
        (pattern) =>
          (pattern.at(-1) === ">" ? subject.length >= pattern.length : subject.length === pattern.length) &&
          pattern.every((token, i) => token === "*" || token === ">" || token === subject[i]),
      );
      expect([address, stores]).toEqual([address, true]);
    }
  });
});

it("the error catalogue names every code once", () => {
  for (const code of Object.keys(ERRORS)) expect(errorsPage().split(`| \`${code}\` |`)).toHaveLength(2);
});
