import { setTimeout as sleep } from "node:timers/promises";
import { eventually, type TestMillrace } from "@millrace/testkit";
import { type Fault, isNode, type Victim } from "./plan.ts";

/** A fault that was inflicted. Times are milliseconds of the wall clock. */
export type Inflicted = {
  kind: Fault["kind"];
  /** The process; of a leader, the node that led. */
  victim: string;
  leaderOf?: string;
  began_ms: number;
  /**
   * From when on the system is to work again: at once, but for a process of which there is one only, when it is
   * started again or goes on. Two of three nodes are expected to do without the third.
   */
  over_ms: number;
};

const BACK_MS = 60_000;
const LEADER_MS = 30_000;

export type InflictOptions = {
  /** Called for each fault as it begins. */
  tell?: (line: string) => void;
  /** Waits until the system works again after what happened at a time; asked before the next node of a cluster is struck. */
  untilRecovered?: (since_ms: number) => Promise<void>;
};

/**
 * Carries out a plan. Faults of different processes overlap as their times have it; one process has one at a time, and
 * so have the nodes of a cluster together, because two of three must be up for anything to be promised.
 * @throws when a process does not come back within a minute
 */
export async function inflict(
  millrace: TestMillrace,
  plan: readonly Fault[],
  { tell = () => {}, untilRecovered = async () => {} }: InflictOptions = {},
): Promise<Inflicted[]> {
  const inflicted: Inflicted[] = [];
  const busy = new Map<string, Promise<void>>();
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {});
  for (const fault of plan) {
    await Promise.race([sleep(fault.after_ms), failure.promise]);
    const line = lineOf(fault.victim);
    await Promise.race([busy.get(line), failure.promise]);
    const one = strike(millrace, fault, tell).then(async (done) => {
      inflicted.push(done);
      if (line === CLUSTER) await untilRecovered(done.over_ms);
    });
    one.catch(failure.reject);
    busy.set(line, one);
  }
  await Promise.all(busy.values());
  return inflicted.sort((a, b) => a.began_ms - b.began_ms);
}

const CLUSTER = "the cluster";
const lineOf = (victim: Victim) => (typeof victim !== "string" || isNode(victim) ? CLUSTER : victim);

async function strike(millrace: TestMillrace, fault: Fault, tell: (line: string) => void): Promise<Inflicted> {
  const inCluster = lineOf(fault.victim) === CLUSTER;
  if (inCluster) await millrace.cluster.untilHealthy();
  const { name, leaderOf } = await whoIs(millrace, fault.victim);
  const pid = await running(millrace, name);
  const began_ms = Date.now();
  const of = { kind: fault.kind, victim: name, began_ms, ...(leaderOf === undefined ? {} : { leaderOf }) };
  tell(
    [
      fault.kind,
      name,
      ...(leaderOf ? [`(leads ${leaderOf})`] : []),
      ...("for_ms" in fault ? [`${fault.for_ms} ms`] : []),
    ].join(" "),
  );
  switch (fault.kind) {
    case "kill":
    case "restart":
      signal(pid, fault.kind === "kill" ? "SIGKILL" : "SIGTERM");
      await running(millrace, name, pid);
      break;
    case "pause":
      signal(-pid, "SIGSTOP"); // with all it started, as the freezer of a container does
      await sleep(fault.for_ms);
      signal(-pid, "SIGCONT");
      break;
    case "cut":
      await millrace.cluster.cutOff(name, { clients: fault.clients });
      await sleep(fault.for_ms);
      await millrace.cluster.mend(name);
      break;
  }
  return { ...of, over_ms: inCluster ? began_ms : Date.now() };
}

async function whoIs(millrace: TestMillrace, victim: Victim): Promise<{ name: string; leaderOf?: string }> {
  if (typeof victim === "string") return { name: victim };
  const name = await eventually(
    async () => {
      const leader = await millrace.cluster.leaderOf(victim.leaderOf);
      if (leader === undefined) throw new Error(`nobody leads ${victim.leaderOf}`);
      return leader;
    },
    { within_ms: LEADER_MS, every_ms: 100 },
  );
  return { name, leaderOf: victim.leaderOf };
}

/** The pid of a process once it runs, and is not `other`. */
const running = (millrace: TestMillrace, name: string, other?: number) =>
  eventually(
    () => {
      const pid = millrace.run.processes[name];
      if (pid === undefined || pid === other) throw new Error(`${name} does not run`);
      return pid;
    },
    { within_ms: BACK_MS },
  );

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it died by itself meanwhile
  }
}
