import { createLogger, type Logger } from "@millrace/kit";
import { eventually, natsServer, openLink } from "@millrace/testkit";
import { RequestStrategy } from "nats";
import { expect, it } from "vitest";
import { answer, ask } from "./ask.ts";
import { type Bus, connectBus } from "./bus.ts";

const silent = createLogger("reconnect-test", "fatal");

/**
 * A node that takes connections and says nothing, and later comes back: what `nats` 2.29.3 left behind of its attempts
 * then ended the connection that worked, whose socket stayed open with every subscription on it (patches/).
 */
it("after a time in which servers take connections and say nothing, there is one connection, and it stays", async () => {
  await using server = await natsServer();
  await using links = new AsyncDisposableStack();
  const ways = await Promise.all([0, 1].map(async () => links.use(await openLink(server.port))));
  const connect = (user: string, url: string, log: Logger = silent) =>
    connectBus({ url, user, password: server.passwordOf(user), log });

  const heard: { nats?: string; data?: string }[] = [];
  const note = (status: { nats?: string; data?: string }) => void heard.push(status);
  const noting = { ...silent, debug: note, warn: note } as unknown as Logger;
  await using audit = await connect("audit", ways.map(({ port }) => `nats://127.0.0.1:${port}`).join(","), noting);
  await using ingest = await connect("ingest", server.url);
  await using system = await connect("system", server.url);
  using _answers = answer(audit, "ask.audit.query", (question) => question);
  await audit.nc.flush();

  const all = (nats: string) => heard.filter((status) => status.nats === nats);

  for (const way of ways) way.cut();
  // When it tries the second, it has given the first up.
  await eventually(() => expect(all("reconnecting")).toHaveLength(2));
  const trying = (way: { port: number }) => all("reconnecting").at(-1)?.data?.endsWith(`:${way.port}`) === true;
  for (const way of ways) if (trying(way)) way.mend();
  await eventually(() => expect(audit.connected).toBe(true));

  for (const way of ways) way.mend();
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect(all("disconnect")).toHaveLength(1);
  expect(await connectionsOf(system, "audit")).toBe(1);
  for (let question = 0; question < 20; question++)
    expect(await ask(ingest, "ask.audit.query", question, 1_000)).toBe(question);
}, 60_000);

async function connectionsOf(system: Bus, user: string): Promise<number> {
  const answers = await system.nc.requestMany("$SYS.REQ.SERVER.PING.CONNZ", "{}", {
    maxWait: 1_000,
    maxMessages: 1,
    strategy: RequestStrategy.Count,
  });
  let count = 0;
  for await (const one of answers)
    count += one
      .json<{ data: { connections: { name?: string }[] } }>()
      .data.connections.filter(({ name }) => name === user).length;
  return count;
}
