import { connect } from "nats";
import { expect, test } from "vitest";
import { natsServer } from "./nats-server.ts";

test("a user of the contracts connects, is held to its permissions, and outlives a restart", async () => {
  await using server = await natsServer();
  const operator = await connect({
    servers: server.urlFor("operator").replace(/\/\/.*@/, "//"),
    user: "operator",
    pass: server.passwordOf("operator"),
  });
  const jsm = await operator.jetstreamManager();
  await jsm.streams.add({ name: "KEPT", subjects: ["kept.>"] });
  await operator.jetstream().publish("kept.one");
  await operator.close();
  const pid = server.pid;

  await server.kill();
  await server.restart();
  expect(server.pid).not.toBe(pid);

  const again = await connect({ servers: server.url, user: "operator", pass: server.passwordOf("operator") });
  const info = await (await again.jetstreamManager()).streams.info("KEPT");
  expect(info.state.messages).toBe(1);
  await again.close();

  const notifier = await connect({
    servers: server.url,
    user: "notifier",
    pass: server.passwordOf("notifier"),
    inboxPrefix: "_INBOX_notifier",
  });
  const refused = (async () => {
    for await (const status of notifier.status()) if (status.type === "error") return String(status.data);
    return "nothing";
  })();
  notifier.publish("out.a.b.c.d.done");
  expect(await refused).toContain("PERMISSIONS_VIOLATION");
  await notifier.close();
});

test("without a password nobody gets in", async () => {
  await using server = await natsServer();
  await expect(connect({ servers: server.url, reconnect: false })).rejects.toThrow(/AUTHORIZATION/i);
});
