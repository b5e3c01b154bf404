import type { ChildProcess } from "node:child_process";
import type { ClusterAnswer, ClusterCommand } from "@millrace/local";

/** The three nats-servers of a Millrace that runs in another process. */
export type ClusterRemote = {
  /** Nothing reaches the node any more, of other nodes and (unless told otherwise) of clients, and nobody is told. */
  cutOff(node: string, options?: { clients?: boolean }): Promise<void>;
  mend(node: string): Promise<void>;
  /** Undefined while there is none. */
  leaderOf(stream: string): Promise<string | undefined>;
  /** Until every replica on every node that runs is current. @throws after a minute */
  untilHealthy(): Promise<void>;
};

// Omit distributes over no union by itself.
type Asked = ClusterCommand extends infer Each ? (Each extends ClusterCommand ? Omit<Each, "id"> : never) : never;

/** Asks a runner that was spawned with an IPC channel. */
export function clusterRemote(runner: ChildProcess): ClusterRemote {
  const waiting = new Map<number, PromiseWithResolvers<string | undefined>>();
  let last = 0;
  runner.on("message", ({ id, result, error }: ClusterAnswer) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(result);
    else asked?.reject(new Error(error));
  });
  runner.once("exit", () => {
    for (const { reject } of waiting.values()) reject(new Error("the runner ended"));
  });
  const ask = (command: Asked) => {
    const asked = Promise.withResolvers<string | undefined>();
    const id = ++last;
    waiting.set(id, asked);
    runner.send({ ...command, id }, (cause) => {
      if (cause) asked.reject(new Error("the runner cannot be asked", { cause }));
    });
    return asked.promise;
  };
  return {
    cutOff: async (node, { clients = true } = {}) => void (await ask({ command: "cutOff", node, clients })),
    mend: async (node) => void (await ask({ command: "mend", node })),
    leaderOf: (stream) => ask({ command: "leaderOf", stream }),
    untilHealthy: async () => void (await ask({ command: "untilHealthy" })),
  };
}
