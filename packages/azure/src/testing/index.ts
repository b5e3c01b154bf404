export { startAzurite } from "./azurite.ts";
export { connectProxy } from "./connect-proxy.ts";
