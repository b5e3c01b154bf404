import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, expect, it, vi } from "vitest";
import { createLogger, plainLines } from "./logger.ts";

afterEach(() => void vi.restoreAllMocks());

/** Texts that are written to standard output, instead of being written. */
function written(): string[] {
  const texts: string[] = [];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => texts.push(String(text)) > 0);
  return texts;
}
const messages = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { msg: string }).msg);

it("writes the lines of one turn together, and an error at once with what came before it", async () => {
  const texts = written();
  const log = createLogger("test", "info");
  log.info("one");
  plainLines(log).info("two");
  expect(texts).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  log.info("three");
  log.error("four");
  expect(texts.map(messages)).toEqual([
    ["one", "two"],
    ["three", "four"],
  ]);
});

it.each([
  ["exits", "process.exit(0)"],
  ["ends by itself", ""],
  ["is killed after an error", 'log.error("why"); process.kill(process.pid, "SIGKILL")'],
])("loses no line when the process %s in the same turn", async (_, end) => {
  const script = `
    import { createLogger } from ${JSON.stringify(new URL("./logger.ts", import.meta.url).href)};
    const log = createLogger("test", "info");
    for (let i = 0; i < 1_000; i++) log.info("line");
    ${end}`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module-typescript",
    "-e",
    script,
  ]).catch((cause: { stdout: string }) => cause);
  expect(messages(stdout).filter((msg) => msg === "line")).toHaveLength(1_000);
});

it("leaves secrets out", async () => {
  const texts = written();
  createLogger("test", "info").error({ token: "s3cret", nested: { password: "s3cret" }, kept: 1 }, "said");
  expect(texts.join("")).toContain('"kept":1');
  expect(texts.join("")).not.toContain("s3cret");
});
