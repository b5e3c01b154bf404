import { Agent } from "node:http";
import { Readable } from "node:stream";
import { LIMITS } from "@millrace/contracts";
import { concurrently } from "../processes/concurrently.ts";
import { post } from "../processes/post.ts";
import { readings } from "./readings.ts";

const AT_ONCE = 2;
const LINES = 1_000;

/** Has ingest store `count` requests of one reading each, by bulk uploads with `rows=1`. */
export async function fill(of: { url: string; token: string; count: number }): Promise<void> {
  const lines = readings(LINES).map((row) => `${JSON.stringify(row)}\n`);
  const uploads = Math.ceil(of.count / LIMITS.bulk.requests);
  const agent = new Agent({ keepAlive: true });
  try {
    await concurrently(uploads, AT_ONCE, async (upload) => {
      const count = Math.min(LIMITS.bulk.requests, of.count - upload * LIMITS.bulk.requests);
      const headers = { authorization: `Bearer ${of.token}`, "content-type": "application/x-ndjson" };
      await post({ url: `${of.url}/bulk?rows=1`, headers, body: Readable.from(chunks(lines, count)), agent }, 202);
    });
  } finally {
    agent.destroy();
  }
}

function* chunks(lines: readonly string[], count: number): Generator<string> {
  for (let sent = 0; sent < count; sent += LINES) yield lines.slice(0, Math.min(LINES, count - sent)).join("");
}
