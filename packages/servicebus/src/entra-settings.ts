import { type Static, Type } from "typebox";
import { Value } from "typebox/value";
import { ROLES } from "./adapters/rights.ts";
import { entityPath } from "./adapters/sas.ts";
import { BrokerConfigError } from "./config.ts";

const closed = { additionalProperties: false };
const Text = Type.String({ minLength: 1, maxLength: 2048 });

const RoleAssignment = Type.Object(
  {
    /** The `oid` claim of whoever has the role: a user, an application or a managed identity. */
    principalId: Text,
    role: Type.Enum(Object.keys(ROLES) as (keyof typeof ROLES)[]),
    /** A queue, a topic (with its subscriptions) or one subscription; without it the role is on the whole namespace. */
    scope: Type.Optional(Text),
  },
  closed,
);

export const EntraSettings = Type.Object(
  {
    /** The `iss` of its tokens, to the letter. */
    issuer: Text,
    /** Where its keys are (http or https). */
    jwksUri: Text,
    /** The `aud` of tokens meant for this broker; Azure's unless given. */
    audiences: Type.Optional(Type.Array(Text, { minItems: 1, maxItems: 100 })),
    roleAssignments: Type.Array(RoleAssignment, { maxItems: 10_000 }),
  },
  closed,
);

/** Whose tokens are believed, and who has which role. */
export type EntraSettings = Static<typeof EntraSettings>;

export const AZURE_AUDIENCE = "https://servicebus.azure.net";

/** @throws BrokerConfigError naming every mistake */
export function checkEntraSettings(settings: unknown): EntraSettings {
  const errors = [...Value.Errors(EntraSettings, settings)].filter(({ keyword }) => keyword !== "boolean"); // told by additionalProperties
  const mistakes = errors.map(
    ({ instancePath, message, params }) => `entra${instancePath}: ${message}${details(params)}`,
  );
  if (mistakes.length > 0) throw new BrokerConfigError(mistakes);
  const checked = settings as EntraSettings;
  if (!/^https?:$/.test(URL.parse(checked.jwksUri)?.protocol ?? "")) {
    mistakes.push(`entra/jwksUri: ${checked.jwksUri} is no http or https address`);
  }
  checked.roleAssignments.forEach(({ scope }, at) => {
    if (scope !== undefined && entityPath(scope) === "") {
      mistakes.push(`entra/roleAssignments/${at}/scope: it names no entity; leave it out for the whole namespace`);
    }
  });
  if (mistakes.length > 0) throw new BrokerConfigError(mistakes);
  return checked;
}

function details(params: unknown): string {
  const { additionalProperties, allowedValues } = params as Record<string, string[] | undefined>;
  const named = additionalProperties ?? allowedValues;
  return named ? ` (${named.join(", ")})` : "";
}
