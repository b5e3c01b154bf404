/** The client of the `bulk` benchmark: has every upload ready in memory, so that only sending it is measured. */
import { Agent } from "node:http";
import { Readable } from "node:stream";
import { type BulkSummary, encodeRequest, HEADER_LENGTH, REQUEST_ROWS_MAX } from "@millrace/contracts";
import { FEATURES, inferBody, MANIFEST, readings } from "../room/readings.ts";
import { serve } from "../room/worker.ts";
import { FORMS, type Form } from "./bulk-forms.ts";
import { concurrently } from "./concurrently.ts";
import { post } from "./post.ts";

const CHUNK_BYTES = 64 * 1024;
/** Requests under way at once, for the forms that are one request per 512 rows. */
const CONNECTIONS = 8;

type Body = { bytes: Uint8Array; headers: Record<string, string> };
const uploads = new Map<Form, Body[]>();
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

const jobs = {
  /** Builds the bodies; answers their size in bytes, by form. */
  async prepare({ rows }: { rows: number }): Promise<Record<Form, number>> {
    const all = readings(rows);
    const packs = Array.from({ length: Math.ceil(rows / REQUEST_ROWS_MAX) }, (_, i) =>
      all.slice(i * REQUEST_ROWS_MAX, (i + 1) * REQUEST_ROWS_MAX),
    );
    const objects = all.map((row) => JSON.stringify(Object.fromEntries(row.map((value, i) => [FEATURES[i], value]))));
    uploads.set("ndjson", [{ bytes: utf8(objects.join("\n")), headers: type("application/x-ndjson") }]);
    const table = [FEATURES.join(","), ...all.map((row) => row.join(","))];
    uploads.set("csv", [{ bytes: utf8(table.join("\n")), headers: type("text/csv") }]);
    uploads.set("binary", packs.map(binary));
    uploads.set(
      "json",
      packs.map((pack) => ({ bytes: utf8(inferBody(pack)), headers: type("application/json") })),
    );
    const size = (form: Form) => uploads.get(form)!.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    return Object.fromEntries(FORMS.map((form) => [form, size(form)])) as Record<Form, number>;
  },

  /** Sends all rows in a form; answers when the last of them is accepted, with how many requests they became. */
  async upload({ form, url, token }: { form: Form; url: string; token: string }): Promise<{ requests: number }> {
    const bodies = uploads.get(form)!;
    const authorization = `Bearer ${token}`;
    if (form === "ndjson" || form === "csv") {
      const [{ bytes, headers }] = bodies as [Body];
      const body = Readable.from(chunks(bytes), { objectMode: false });
      const answer = await post({ url: `${url}/bulk`, headers: { ...headers, authorization }, body, agent }, 202);
      const { accepted, rejected } = JSON.parse(answer.toString("utf8")) as BulkSummary;
      if (rejected.rows > 0) throw new Error(`${rejected.rows} rows of the ${form} upload were rejected`);
      return { requests: accepted.requests };
    }
    await concurrently(bodies.length, CONNECTIONS, async (index) => {
      const { bytes, headers } = bodies[index]!;
      await post({ url, headers: { ...headers, authorization }, body: bytes, agent }, 202);
    });
    return { requests: bodies.length };
  },
};
export type BulkClientJobs = typeof jobs;

serve(jobs, async () => agent.destroy());

const utf8 = (text: string): Uint8Array => Buffer.from(text, "utf8");
const type = (of: string) => ({ "content-type": of });

function binary(rows: readonly (readonly number[])[]): Body {
  const [{ name, datatype }] = MANIFEST.inputs as [(typeof MANIFEST.inputs)[number]];
  const data = Float32Array.from(rows.flat());
  const input = { name, datatype, shape: [rows.length, FEATURES.length], data };
  const { bytes, headerLength } = encodeRequest({ inputs: [input], binaryOutput: true }, "binary");
  return { bytes, headers: { ...type("application/octet-stream"), [HEADER_LENGTH]: String(headerLength) } };
}

function* chunks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}
