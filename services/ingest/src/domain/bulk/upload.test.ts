import { LIMITS, type Problem } from "@millrace/contracts";
import { describe, expect, it } from "vitest";
import { SUM } from "../../testing/models.ts";
import type { Accepted, NewRequest } from "../ports.ts";
import type { Origin } from "../submission.ts";
import { ndjsonReader, readLines } from "./readings.ts";
import { rowWriter } from "./row-writer.ts";
import { Upload } from "./upload.ts";

const ORIGIN: Origin = {
  tenant: "acme",
  project: "plant",
  model: SUM,
  priority: "normal",
  principal: "alice",
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};
const TROUBLE: Problem = { code: "unavailable", detail: "the broker did not confirm" };

async function* chunksOf(text: string, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Reads `rows` lines with this publish; answers the upload, and the highest number of publishes under way. */
async function read(
  rows: number,
  publish: (request: NewRequest, index: number) => Promise<Accepted>,
  options: { packed?: boolean; chunk?: number } = {},
) {
  const writer = rowWriter(SUM.manifest.inputs, options.packed ?? true);
  if (!writer.ok) throw new Error(writer.problem.detail);
  let underWay = 0;
  let most = 0;
  let index = 0;
  const upload = new Upload({
    origin: { ...ORIGIN, key: "k" },
    writer: writer.value,
    packed: options.packed ?? true,
    async publish(request) {
      most = Math.max(most, ++underWay);
      try {
        return await publish(request, index++);
      } finally {
        underWay--;
      }
    },
    problemOf: () => TROUBLE,
  });
  const text = "[1,2,3]\n".repeat(rows);
  await readLines(chunksOf(text, options.chunk ?? 65_536), ndjsonReader(writer.value), upload);
  await upload.finish();
  return { upload, most };
}

const stored: Accepted = { kind: "accepted", sequence: 1, digest: "sha256:", repeated: false };
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("an upload", () => {
  it("has the same requests however its bytes are cut into chunks", async () => {
    const whole = await read(1_300, async () => stored, { chunk: 1_000_000 });
    for (const chunk of [1, 7, 4_096])
      expect((await read(1_300, async () => stored, { chunk })).upload.summary).toEqual(whole.upload.summary);
    expect(whole.upload.summary.accepted).toEqual({ rows: 1_300, requests: 3 });
  });

  it("has a bounded number of requests under way", async () => {
    const slow = async () => {
      await turn();
      return stored;
    };
    expect((await read(20_000, slow)).most).toBe(16);
    expect((await read(2_000, slow, { packed: false })).most).toBe(256);
  });

  it("says what was accepted and where to go on when the broker fails half-way", async () => {
    const { upload } = await read(20_000, async (_request, index) => {
      await turn();
      if (index === 5 || index === 7) throw new Error("no");
      return stored;
    });
    expect(upload.failure).toEqual(TROUBLE);
    const { accepted, requests, unaccepted, next_line } = upload.progress;
    expect(unaccepted.map(({ first_line }) => first_line)).toEqual([5 * 512 + 1, 7 * 512 + 1]);
    // Every line before the next one is accounted for, once.
    const ranges = [...requests, ...unaccepted].sort((a, b) => a.first_line - b.first_line);
    let line = 1;
    for (const { first_line, last_line, rows } of ranges) {
      expect([first_line, last_line - first_line + 1]).toEqual([line, rows]);
      line = last_line + 1;
    }
    expect(next_line).toBe(line);
    expect(accepted.rows).toBe(requests.length * 512);
  });

  it("refuses the rest of what makes too many requests, after sending all before it", async () => {
    const { upload } = await read(LIMITS.bulk.requests + 5, async () => stored, { packed: false });
    expect(upload.failure?.code).toBe("too-many-lines");
    expect(upload.progress).toMatchObject({
      accepted: { requests: LIMITS.bulk.requests },
      next_line: LIMITS.bulk.requests + 1,
    });
  });

  it("refuses the rest of what has too many lines, after sending all before it", async () => {
    const { upload } = await read(LIMITS.bulk.lines + 1, async () => stored);
    expect(upload.failure?.code).toBe("too-many-lines");
    expect(upload.progress).toMatchObject({
      accepted: { rows: LIMITS.bulk.lines },
      next_line: LIMITS.bulk.lines + 1,
    });
  });
});
