export { openapiDocument } from "./openapi.ts";
