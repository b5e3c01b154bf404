import type { NatsCluster } from "./nats-cluster.ts";

/**
 * What the process that spawned the runner may ask of its cluster, over Node's IPC channel: a test that cuts nodes off
 * holds no link itself. Nobody else can: the channel is a socket pair.
 */
export type ClusterCommand = { id: number } & (
  | { command: "cutOff"; node: string; clients: boolean }
  | { command: "mend"; node: string }
  | { command: "leaderOf"; stream: string }
  | { command: "untilHealthy" }
);

/** `result` is the leader's name for `leaderOf`. */
export type ClusterAnswer = { id: number; result?: string; error?: string };

/** Answers commands until disposed; does nothing when there is no channel. */
export function obeyParent(cluster: NatsCluster): Disposable {
  const onMessage = async (command: ClusterCommand) => {
    const { id } = command;
    let answer: ClusterAnswer;
    try {
      const result = await obey(cluster, command);
      answer = { id, ...(result === undefined ? {} : { result }) };
    } catch (error) {
      answer = { id, error: (error as Error).message };
    }
    process.send?.(answer, undefined, undefined, () => {}); // a parent that is gone needs no answer
  };
  process.on("message", onMessage);
  return { [Symbol.dispose]: () => void process.off("message", onMessage) };
}

async function obey(cluster: NatsCluster, command: ClusterCommand): Promise<string | undefined> {
  switch (command.command) {
    case "cutOff":
      return void cluster.node(command.node).cutOff({ clients: command.clients });
    case "mend":
      return void cluster.node(command.node).mend();
    case "leaderOf":
      return (await cluster.leaderOf(command.stream))?.name;
    case "untilHealthy":
      return void (await cluster.untilHealthy());
  }
}
