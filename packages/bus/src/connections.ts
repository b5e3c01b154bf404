import { RequestStrategy } from "nats";
import type { Bus } from "./bus.ts";

type Connz = { data?: { connections?: { name?: string }[] } };

/**
 * Names of the clients that are connected to any server now; ours are named after their users. Asked over the system
 * account.
 */
export async function connectedClients(system: Bus): Promise<Set<string>> {
  const question = JSON.stringify({ limit: CONNECTIONS_MAX });
  const answers = await system.nc.requestMany("$SYS.REQ.SERVER.PING.CONNZ", question, {
    maxWait: 2_000,
    maxMessages: 64,
    strategy: RequestStrategy.JitterTimer,
  });
  const names = new Set<string>();
  for await (const answer of answers)
    for (const { name } of answer.json<Connz>().data?.connections ?? []) if (name) names.add(name);
  return names;
}

/** Per server. */
const CONNECTIONS_MAX = 10_000;
