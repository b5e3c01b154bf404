import path from "node:path";
import type { UserPermissions } from "@millrace/contracts";
import { type Link, openLink } from "./link.ts";
import { type NatsServer, startNatsServer } from "./nats-server.ts";
import type { ProcessChange } from "./processes/managed-process.ts";
import { freePort, freePortFrom } from "./processes/ports.ts";
import { type Reaper, startReaper } from "./processes/reaper.ts";
import { readSecrets } from "./secrets.ts";

export type NatsClusterOptions = {
  /** Holds the passwords, and a directory per node with its configuration and store. */
  dataDir: string;
  /** Where the first node's clients come in, the next free ports for the others; 0 for any. */
  port?: number;
  users: Readonly<Record<string, UserPermissions>>;
  /** Each node acknowledges what is on its disk. Off, an acknowledgement means that a majority has it. @default true */
  syncAlways?: boolean;
  /** Start nodes again when they die. */
  supervise?: boolean;
  reaper?: Reaper;
  logFile?: (node: string) => Promise<string>;
  onChange?: (node: string, change: ProcessChange) => void;
};

/** Three nats-servers that replicate their streams (R3). Each may be killed, paused or cut off. */
export type NatsCluster = AsyncDisposable & {
  /** The nodes' addresses, comma-separated. */
  readonly url: string;
  readonly nodes: readonly ClusterNode[];
  passwordOf(user: string): string;
  /** The same with user and password in each. */
  urlFor(user: string): string;
  /** @throws when there is no node of this name */
  node(name: string): ClusterNode;
  /** The node that leads a stream, or undefined while there is none or it is not known. */
  leaderOf(stream: string): Promise<ClusterNode | undefined>;
  /** Waits until every node that runs has a leader above it and its replicas are current. @throws after 60 s */
  untilHealthy(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

export type ClusterNode = {
  readonly name: string;
  readonly server: NatsServer;
  /** Where clients reach it, without a user. */
  readonly url: string;
  /**
   * Cuts the node off from the other nodes, and from clients as well unless told otherwise. Nobody is told: see
   * {@link Link}.
   */
  cutOff(options?: { clients?: boolean }): void;
  mend(): void;
  /** SIGSTOP: it holds its connections and answers nothing. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
};

const NODES = ["nats-1", "nats-2", "nats-3"] as const;
/**
 * Nodes know of each other what is stated here, and learn nothing more: those ways would lead past a cut. So the address
 * that they tell each other is one where nobody listens (tcpmux).
 */
const NOWHERE = "127.0.0.1:1";
const HEALTHY_MS = 60_000;
const POLL_MS = 100;
const MONITOR_MS = 1_000;

/**
 * Starts three nodes. Every connection, between nodes and of clients, goes through a link of ours, so that a node can
 * be cut off on any machine, without the rights that network namespaces need.
 * @throws when a node does not start or the three do not find each other
 */
export async function startNatsCluster(options: NatsClusterOptions): Promise<NatsCluster> {
  await using stack = new AsyncDisposableStack();
  const reaper = options.reaper ?? stack.use(startReaper());
  const secretsDir = path.join(options.dataDir, "secrets");
  const password = readSecrets(secretsDir, ["nats-route"])["nats-route"]!;
  const ports = await Promise.all(NODES.map(async () => ({ client: await freePort(), route: await freePort() })));
  const monitors = await Promise.all(NODES.map(() => freePort()));

  // In a ring: each node makes the route to the next one, which is one link per pair.
  const between = await Promise.all(
    NODES.map(async (_, from) => {
      const to = (from + 1) % NODES.length;
      return { from, to, link: stack.use(await openLink(ports[to]!.route)) };
    }),
  );
  const inward: Link[] = [];
  let wanted = options.port ?? 0;
  for (const { client } of ports) {
    const port = await freePortFrom(wanted);
    inward.push(stack.use(await openLink(client, port)));
    wanted = wanted === 0 ? 0 : port + 1;
  }

  const start = async (name: string, index: number) =>
    stack.use(
      await startNatsServer({
        name,
        dataDir: path.join(options.dataDir, name),
        secretsDir,
        port: ports[index]!.client,
        users: options.users,
        supervise: options.supervise ?? false,
        reaper,
        cluster: {
          port: ports[index]!.route,
          routes: between.filter(({ from }) => from === index).map(({ link }) => `127.0.0.1:${link.port}`),
          password,
          advertise: NOWHERE,
        },
        monitorPort: monitors[index]!,
        ...(options.syncAlways === undefined ? {} : { syncAlways: options.syncAlways }),
        ...(options.logFile ? { logFile: await options.logFile(name) } : {}),
        onChange: (change) => options.onChange?.(name, change),
      }),
    );
  const servers = await Promise.all(NODES.map(start));

  const nodes = NODES.map((name, index): ClusterNode => {
    const routes = between.filter(({ from, to }) => from === index || to === index).map(({ link }) => link);
    const clients = inward[index]!;
    return {
      name,
      server: servers[index]!,
      url: `nats://127.0.0.1:${clients.port}`,
      cutOff(also = {}) {
        for (const route of routes) route.cut();
        if (also.clients !== false) clients.cut();
      },
      mend() {
        for (const link of [...routes, clients]) link.mend();
      },
      pause: () => signalTo(servers[index]!.pid, "SIGSTOP"),
      resume: () => signalTo(servers[index]!.pid, "SIGCONT"),
    };
  });
  const passwordOf = servers[0]!.passwordOf;
  const monitor = (index: number) => `http://127.0.0.1:${monitors[index]!}`;
  const untilHealthy = async (signal?: AbortSignal) => {
    const deadline = performance.now() + HEALTHY_MS;
    for (;;) {
      signal?.throwIfAborted();
      const running = nodes.flatMap((_, index) => (servers[index]!.pid === undefined ? [] : [index]));
      const healthy = await Promise.all(running.map((index) => isHealthy(monitor(index), NODES[index]!)));
      if (healthy.every((yes) => yes)) return;
      if (performance.now() > deadline)
        throw new Error(
          `not healthy within ${HEALTHY_MS / 1000} s: ${running.map((index) => NODES[index]).join(", ")}`,
        );
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  };
  await untilHealthy();
  const owned = stack.move();

  return {
    url: nodes.map(({ url }) => url).join(","),
    nodes,
    passwordOf,
    urlFor: (user) => nodes.map(({ url }) => url.replace("//", `//${user}:${passwordOf(user)}@`)).join(","),
    node(name) {
      const found = nodes.find((node) => node.name === name);
      if (found === undefined) throw new Error(`there is no node "${name}": ${NODES.join(", ")}`);
      return found;
    },
    async leaderOf(stream) {
      const named = await Promise.all(nodes.map((_, index) => leaderAsSeenBy(monitor(index), stream)));
      // A node that is cut off may go on naming the leader it knew: two of three are right.
      const leader = NODES.find((name) => named.filter((seen) => seen === name).length * 2 > NODES.length);
      return nodes.find(({ name }) => name === leader);
    },
    untilHealthy,
    close: () => owned.disposeAsync(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * A node that has just started says that it is well before it knows its streams: the leaders must find it current, too.
 * https://docs.nats.io/running-a-nats-service/nats_admin/monitoring#health
 */
async function isHealthy(monitor: string, name: string): Promise<boolean> {
  if ((await ask(`${monitor}/healthz`)) === undefined) return false;
  const streams = await streamsSeenBy(monitor);
  return (
    streams?.every(
      ({ cluster: { leader, replicas = [] } = {} }) =>
        leader !== undefined && (leader !== name || replicas.every(({ current, offline }) => current && !offline)),
    ) ?? false
  );
}

async function leaderAsSeenBy(monitor: string, stream: string): Promise<string | undefined> {
  return (await streamsSeenBy(monitor))?.find(({ name }) => name === stream)?.cluster?.leader;
}

type StreamDetail = {
  name: string;
  cluster?: { leader?: string; replicas?: { current: boolean; offline?: boolean }[] };
};
type Jsz = { account_details?: { stream_detail?: StreamDetail[] }[] };

/** Undefined when the node does not answer. */
async function streamsSeenBy(monitor: string): Promise<StreamDetail[] | undefined> {
  const jsz = (await ask(`${monitor}/jsz?accounts=true&streams=true`)) as Jsz | undefined;
  return jsz && (jsz.account_details ?? []).flatMap(({ stream_detail = [] }) => stream_detail);
}

/** The JSON a node's monitor answers, or undefined when it does not, or says no. */
async function ask(url: string): Promise<unknown> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(MONITOR_MS) });
    const body = await response.text();
    return response.ok ? JSON.parse(body) : undefined;
  } catch {
    return undefined;
  }
}

function signalTo(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(pid, signal);
}
