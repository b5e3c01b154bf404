import Type from "typebox";
import { TOKEN_PATTERN } from "../subjects.ts";

/** What a token may do in a project. */
export const VERBS = ["submit", "read", "audit", "redrive", "operate"] as const;
export type Verb = (typeof VERBS)[number];

/** What one bearer token allows. The token itself is written nowhere, only its digest. */
export const TokenEntry = Type.Object(
  {
    sha256: Type.String({ pattern: "^[0-9a-f]{64}$", description: "SHA-256 of the token, hexadecimal" }),
    principal: Type.String({ pattern: "^[A-Za-z0-9._:@/-]{1,128}$", description: "Opaque id of who holds it" }),
    grants: Type.Array(
      Type.Object(
        {
          tenant: Type.String({ pattern: TOKEN_PATTERN }),
          project: Type.String({ pattern: TOKEN_PATTERN }),
          verbs: Type.Array(Type.Enum([...VERBS]), { minItems: 1 }),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 1_000 },
    ),
  },
  { additionalProperties: false, title: "Token" },
);
export type TokenEntry = Type.Static<typeof TokenEntry>;

/** The file that ingest reads tokens from, and reads again when it changes. */
export const TokensFile = Type.Array(TokenEntry, { maxItems: 10_000, title: "Tokens file" });
export type TokensFile = Type.Static<typeof TokensFile>;
