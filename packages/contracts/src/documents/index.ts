export { asyncapiDocument } from "./asyncapi.ts";
export { errorsPage, permissionsPage } from "./markdown.ts";
export { openapiDocument } from "./openapi.ts";
