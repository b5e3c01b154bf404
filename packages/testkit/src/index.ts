export { type ChaosOptions, chaos } from "./chaos.ts";
export type { Answer, HttpClient, Submit } from "./client.ts";
export { eventually } from "./eventually.ts";
export { type MillraceOptions, startMillrace, type TestMillrace } from "./millrace.ts";
export { natsServer } from "./nats-server.ts";
export { type Random, seededRandom } from "./random.ts";
export type { ReceivedMessage, TopicFollower } from "./topic.ts";
