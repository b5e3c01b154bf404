import type { ClusterNode, NatsCluster } from "@millrace/local";
import { connect, type NatsConnection } from "nats";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { natsCluster } from "./nats-cluster.ts";

let cluster: NatsCluster;
let client: NatsConnection;
beforeAll(async () => {
  cluster = await natsCluster();
  client = await connectTo(cluster.url);
  await (await client.jetstreamManager()).streams.add({ name: "KEPT", subjects: ["kept.>"], num_replicas: 3 });
});
afterAll(async () => {
  await client.close();
  await cluster.close();
});

const connectTo = (url: string) =>
  connect({
    servers: url.split(","),
    user: "operator",
    pass: cluster.passwordOf("operator"),
    pingInterval: 1_000,
    timeout: 1_000,
    reconnectTimeWait: 100,
    maxReconnectAttempts: -1,
  });

const store = (text: string) =>
  eventually(() => client.jetstream().publish(`kept.${text}`, "", { timeout: 1_000 }), {
    within_ms: 30_000,
    every_ms: 50,
  });

const leader = () =>
  eventually(
    async () => {
      const found = await cluster.leaderOf("KEPT");
      if (found === undefined) throw new Error("nobody leads");
      return found;
    },
    { within_ms: 30_000 },
  );

test.each<[string, (node: ClusterNode) => unknown, (node: ClusterNode) => unknown]>([
  ["killed", (node) => node.server.kill(), (node) => node.server.restart()],
  ["paused", (node) => node.pause(), (node) => node.resume()],
  ["cut off", (node) => node.cutOff(), (node) => node.mend()],
  ["cut off from the other nodes only", (node) => node.cutOff({ clients: false }), (node) => node.mend()],
])(
  "a leader that is %s is replaced, and has what it missed when it is back",
  async (name, harm, repair) => {
    const first = await leader();
    // Clients have no reason to leave a node that only lost the others: this one stays away from it.
    const elsewhere = cluster.nodes.filter((node) => node !== first).map(({ url }) => url);
    await client.close();
    client = await connectTo(elsewhere.join(","));

    await harm(first);
    await store(name.replaceAll(" ", "-"));
    await eventually(async () => expect((await leader()).name).not.toBe(first.name));
    await repair(first);
    await cluster.untilHealthy();

    const info = await (await client.jetstreamManager()).streams.info("KEPT");
    expect(info.cluster?.replicas?.map(({ current, offline }) => current && !offline)).toEqual([true, true]);
  },
  60_000,
);

test("a node that is cut off from the others stores nothing, and a client of it is not told otherwise", async () => {
  const first = await leader();
  await using lonely = await disposable(connectTo(first.url));
  const jetstream = lonely.value.jetstream();
  await jetstream.publish("kept.before", "");
  first.cutOff({ clients: false });
  await expect(jetstream.publish("kept.during", "", { timeout: 2_000 })).rejects.toThrow();
  first.mend();
  await cluster.untilHealthy();
}, 60_000);

async function disposable(opening: Promise<NatsConnection>): Promise<AsyncDisposable & { value: NatsConnection }> {
  const value = await opening;
  return { value, [Symbol.asyncDispose]: () => value.close() };
}
