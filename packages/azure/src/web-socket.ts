import { Agent } from "node:https";
import { WebSocket } from "ws";

/**
 * AMQP inside WebSockets on port 443, for networks that let nothing else out; through `HTTPS_PROXY` unless `NO_PROXY`
 * names the host. Node's own agent makes the tunnel (CONNECT).
 */
export function webSocketOptions(env: NodeJS.ProcessEnv = process.env) {
  const { HTTPS_PROXY, https_proxy, NO_PROXY, no_proxy } = env;
  const proxyEnv = { HTTPS_PROXY: HTTPS_PROXY ?? https_proxy, NO_PROXY: NO_PROXY ?? no_proxy };
  return { webSocket: WebSocket, webSocketConstructorOptions: { agent: new Agent({ proxyEnv }) } };
}
