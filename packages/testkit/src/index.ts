export { natsServer } from "./nats-server.ts";
