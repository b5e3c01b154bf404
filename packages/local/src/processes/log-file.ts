import { open, rename, stat } from "node:fs/promises";

const ROTATE_BYTES = 16 * 1024 * 1024;
const TAIL_BYTES = 16 * 1024;

/** Moves a log that grew past 16 MiB to `<file>.1`, so that a data directory holds two such files at most. */
export async function rotate(file: string): Promise<void> {
  const size = await stat(file).then(
    (stats) => stats.size,
    () => 0,
  );
  if (size > ROTATE_BYTES) await rename(file, `${file}.1`);
}

/** The last lines of a log; none when there is no such file. */
export async function lastLines(file: string, count: number): Promise<string[]> {
  const text = await readFrom(file, -TAIL_BYTES).catch(() => "");
  return text.trimEnd().split("\n").slice(-count);
}

/** What stands in a file from a position on (negative: from its end), at most 1 MiB. */
export async function readFrom(file: string, position: number): Promise<string> {
  await using handle = await open(file, "r");
  const { size } = await handle.stat();
  const start = position < 0 ? Math.max(0, size + position) : position;
  const buffer = Buffer.alloc(Math.min(Math.max(0, size - start), 1024 * 1024));
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
  return buffer.toString("utf8", 0, bytesRead);
}
