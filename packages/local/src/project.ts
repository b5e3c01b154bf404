import { createHash } from "node:crypto";
import type { RoutesFile, TokensFile, Verb } from "@millrace/contracts";
import { TOPIC } from "./service-bus-entities.ts";

/** Whose demonstration data it is: one tenant with one project. */
export const TENANT = "demo";
export const PROJECT = "plant-a";

/** Every outcome of every model goes to one topic. */
export const ROUTES: RoutesFile = { routes: [{ name: "predictions", topic: TOPIC }] };

/** Written out: the contracts' own list comes with every schema, which would cost each start a quarter of a second. */
const ALL_VERBS: Verb[] = ["submit", "read", "audit", "redrive", "operate"];

/** The one local token, as the services know it: by its digest. */
export function tokensFile(token: string): TokensFile {
  const sha256 = createHash("sha256").update(token).digest("hex");
  return [{ sha256, principal: "local", grants: [{ tenant: TENANT, project: PROJECT, verbs: ALL_VERBS }] }];
}

/** The token as `curl -H @FILE` takes it. */
export const authorizationHeader = (token: string): string => `Authorization: Bearer ${token}\n`;
