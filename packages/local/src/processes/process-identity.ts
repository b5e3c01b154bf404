import { readFileSync } from "node:fs";

/** A process by number and start time: the number alone may belong to another one by now. */
export type ProcessIdentity = { pid: number; started: string };

/** The identity of a running process, or undefined when there is none. */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // Field 22, in clock ticks since boot. Field 2, the name, may hold spaces and brackets: count from behind it.
    const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return started === undefined ? undefined : { pid, started };
  } catch {
    return undefined;
  }
}

export const isSameProcess = ({ pid, started }: ProcessIdentity): boolean => identify(pid)?.started === started;
