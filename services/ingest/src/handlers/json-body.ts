import { problem, type Result } from "@millrace/contracts";
import type { FastifyRequest } from "fastify";
import type { Static, TSchema } from "typebox";
import { Compile } from "typebox/compile";

/** Reads bodies of one form. No body at all is an empty object. */
export function jsonBody<Schema extends TSchema>(schema: Schema): (request: FastifyRequest) => Result<Static<Schema>> {
  const validator = Compile(schema);
  return (request) => {
    const bytes = (request.body as Buffer | undefined) ?? Buffer.alloc(0);
    let value: unknown;
    try {
      value = bytes.byteLength === 0 ? {} : JSON.parse(bytes.toString("utf8"));
    } catch (cause) {
      return problem("malformed-json", `the body cannot be read: ${(cause as Error).message}`);
    }
    if (validator.Check(value)) return { ok: true, value: value as Static<Schema> };
    const first = validator.Errors(value)[0];
    return problem("malformed-body", `the body ${first?.message ?? "has the wrong form"}`, first?.instancePath || "/");
  };
}
