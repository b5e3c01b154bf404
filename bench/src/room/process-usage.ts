import { readdirSync, readFileSync } from "node:fs";

/** What a process uses, as Linux counts it. @throws when there is no such process, or no /proc */

/** The kernel reports CPU time to user space in hundredths of a second on every architecture. */
const TICKS_PER_SECOND = 100;

/** CPU time in ms that a process has used, user and system, all threads. It does not grow while others have the core. */
export function cpuTime(pid: number): number {
  // The second field is the program's name in parentheses and may hold spaces; the fields behind it cannot.
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user, system] = [fields[11], fields[12]].map(Number) as [number, number];
  return ((user + system) * 1_000) / TICKS_PER_SECOND;
}

/** Resident memory in MiB. */
export function residentMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1_024;
}

/** The processes that a process started and that run now. */
export function childrenOf(parent: number): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) === parent;
    } catch {
      return false; // gone since the directory was read
    }
  });
}
