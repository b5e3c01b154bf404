import type { TObject, TSchema } from "typebox";
import type { ErrorCode } from "../errors.ts";
import type { Verb } from "./tokens.ts";

/** Content by media type. `null` stands for raw bytes. */
export type Content = Readonly<Record<string, TSchema | null>>;

export type Answer = {
  description: string;
  content?: Content;
  /** Response headers and what they say. */
  headers?: Readonly<Record<string, string>>;
};

/**
 * One route as data. Ingest registers its routes from these, and the OpenAPI document is generated from them, so that
 * neither can say what the other does not do.
 */
export type Operation = {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** OpenAPI template: `/v1/{tenant}/…`. */
  path: string;
  tag: string;
  summary: string;
  description?: string;
  /**
   * The verb that the token must grant on the path's tenant and project. `token`: any valid token. `public`: none;
   * only health routes are.
   */
  needs: Verb | "token" | "public";
  params?: TObject;
  query?: TObject;
  /** Request headers, in lower case. */
  headers?: TObject;
  body?: { content: Content; description?: string };
  answers: Readonly<Record<number, Answer>>;
  /** Errors of this route beside {@link COMMON_ERRORS}. */
  errors: readonly ErrorCode[];
};

/** Errors that every route with a token can give. */
export const COMMON_ERRORS = ["unauthenticated", "forbidden", "internal"] as const satisfies readonly ErrorCode[];
