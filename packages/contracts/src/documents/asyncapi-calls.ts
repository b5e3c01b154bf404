import { PROBLEM_MEDIA_TYPE, ProblemDocument, Submission } from "../http/schemas.ts";
import { TOKEN_PATTERN } from "../subjects.ts";
import { SERVICE_ERROR_CODE, SUBMISSION_CALL } from "../submission-call.ts";
import type { Json } from "./components.ts";

/** The calls between services (request-reply, not stored) as parts of the AsyncAPI document. */
export function callParts(reference: (schema: unknown) => Json): {
  channels: Record<string, Json>;
  operations: Record<string, Json>;
  messages: Record<string, Json>;
} {
  const { name, address, description, headers, request, from, to } = SUBMISSION_CALL;
  const answers = `${name}.answer`;
  const refusal = `${name}.refused`;
  const parameters = [...address.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter!);
  const message = (title: string, contentType: string, schema: Json, more: object = {}) => ({
    name: title,
    title,
    contentType,
    payload: { schemaFormat: "application/schema+json;version=draft-07", schema },
    ...more,
  });
  const inChannel = (...names: string[]) =>
    Object.fromEntries(names.map((each) => [each, { $ref: `#/components/messages/${each}` }]));
  const refs = (channel: string, ...names: string[]) =>
    names.map((each) => ({ $ref: `#/channels/${channel}/messages/${each}` }));
  const operation = (service: string, action: "send" | "receive"): [string, Json] => [
    `${service}.${action}.${name}`,
    {
      action,
      title: `${service} ${action}s ${name}`,
      channel: { $ref: `#/channels/${name}` },
      messages: refs(name, name),
      reply: { channel: { $ref: `#/channels/${answers}` }, messages: refs(answers, answers, refusal) },
      tags: [{ name: service }],
    },
  ];
  return {
    channels: {
      [name]: {
        address,
        description,
        parameters: Object.fromEntries(
          parameters.map((parameter) => [parameter, { description: `One subject token: ${TOKEN_PATTERN}` }]),
        ),
        messages: inChannel(name),
      },
      [answers]: {
        address: null,
        description: "The reply subject that the call came with.",
        messages: inChannel(answers, refusal),
      },
    },
    operations: Object.fromEntries([...from.map((service) => operation(service, "send")), operation(to, "receive")]),
    messages: {
      [name]: message(name, "application/json", reference(request), {
        summary: description,
        headers: reference(headers),
      }),
      [answers]: message(answers, "application/json", reference(Submission), { summary: "Accepted and stored" }),
      [refusal]: message(refusal, PROBLEM_MEDIA_TYPE, reference(ProblemDocument), {
        summary: `Not stored; the header \`${SERVICE_ERROR_CODE}\` has the status`,
      }),
    },
  };
}
