// One set-up at a time per clone. The lock names its holder by pid and start time, so that a killed
// holder, or another process that got its number, is recognised and the lock taken over.
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readJson } from "./files.mjs";

const WAIT_MS = 20 * 60_000;
const TAKEOVER_MS = 10_000;

/**
 * Runs `work` while holding the lock file.
 * @param {{ onWait?: (pid: number) => void }} [options] told once when another process holds the lock
 * @throws when the lock is still held after 20 minutes, by naming the holder
 */
export async function withLock(file, work, { onWait } = {}) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const deadline = Date.now() + WAIT_MS;
  let told = false;
  while (!claim(file)) {
    const holder = readJson(file);
    if (holder === undefined || !isAlive(holder)) {
      takeOver(file);
    } else if (!told) {
      told = true;
      onWait?.(holder.pid);
    }
    if (Date.now() > deadline)
      throw new Error(`the lock ${file} is still held by process ${holder?.pid}; end it or remove the file`);
    await sleep(100);
  }
  try {
    return await work();
  } finally {
    fs.rmSync(file, { force: true });
  }
}

/** A hard link appears with its whole content or not at all, unlike a file that is created and then written. */
function claim(file) {
  const draft = `${file}.${process.pid}`;
  fs.writeFileSync(draft, JSON.stringify({ pid: process.pid, started: startTime(process.pid) }));
  try {
    fs.linkSync(draft, file);
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    return false;
  } finally {
    fs.rmSync(draft, { force: true });
  }
}

/** Only the one who makes the directory may judge and remove, or two would remove each other's fresh lock. */
function takeOver(file) {
  const judging = `${file}.takeover`;
  try {
    fs.mkdirSync(judging);
  } catch {
    const made = fs.statSync(judging, { throwIfNoEntry: false })?.mtimeMs;
    if (made !== undefined && Date.now() - made > TAKEOVER_MS) fs.rmSync(judging, { recursive: true, force: true });
    return;
  }
  try {
    const holder = readJson(file);
    if (holder === undefined || !isAlive(holder)) fs.rmSync(file, { force: true });
  } finally {
    fs.rmSync(judging, { recursive: true, force: true });
  }
}

export function isAlive({ pid, started }) {
  const now = startTime(pid);
  return now !== undefined && now === started;
}

/** Field 22 of /proc/<pid>/stat, in clock ticks since boot; the name in field 2 may hold spaces and brackets. */
function startTime(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
