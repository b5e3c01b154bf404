import type { OperationId } from "@millrace/contracts";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Caller } from "../domain/grants.ts";

/** What is known of one HTTP call when its handler runs. */
export type Call = {
  operation: OperationId | undefined;
  /** A span of ours in the caller's trace. */
  traceparent: string;
  /** Who asks; set for every route that needs a token. */
  caller: Caller;
  /** Checked names of the path: tenant, project, model, id, version. For OIP at the root, those of the grant. */
  params: Readonly<Record<string, string>>;
  query: Readonly<Record<string, unknown>>;
  /** Request id, for the log line. */
  id?: string;
};

declare module "fastify" {
  interface FastifyRequest {
    call: Call;
  }
  interface FastifyContextConfig {
    operation?: OperationId;
  }
}

/** Joins a call to a decision. What it returns is sent; `undefined` means that it has answered by itself. */
export type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

/** A request header that was checked against the operation's schema. */
export const header = (request: FastifyRequest, name: string): string | undefined => {
  const value = request.headers[name];
  return typeof value === "string" ? value : undefined;
};

/** The model, project and tenant of a call. */
export const place = ({ params }: Call): { tenant: string; project: string; model: string } => ({
  tenant: params.tenant!,
  project: params.project!,
  model: params.model!,
});
