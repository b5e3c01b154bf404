export * from "./limits.ts";
export * from "./operation.ts";
export * from "./operations.ts";
export * from "./schemas.ts";
export * from "./tokens.ts";
