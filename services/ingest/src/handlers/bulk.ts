import type { Readable } from "node:stream";
import { type BulkSummary, problem } from "@millrace/contracts";
import { csvReader, ndjsonReader, readLines } from "../domain/bulk/readings.ts";
import { rowWriter } from "../domain/bulk/row-writer.ts";
import { Upload } from "../domain/bulk/upload.ts";
import { originOf, stateUrl } from "../domain/submit.ts";
import { type Handler, place } from "./call.ts";
import { known, refuse } from "./problems.ts";
import { refuseSubmission, type SubmitDeps, submitCallOf } from "./submit.ts";

/** `POST …/requests/bulk`: readings as a stream; what was accepted is said precisely, whatever happens. */
export const onBulk =
  (deps: SubmitDeps): Handler =>
  async (request, reply) => {
    const { streams, intake, log } = deps;
    const called = originOf(submitCallOf(request), deps);
    if (!called.ok) return refuseSubmission(request, reply, called);
    const origin = called.value;
    const packed = request.call.query.rows !== "1";
    const writer = rowWriter(origin.model.manifest.inputs, packed);
    if (!writer.ok) return refuse(request, reply, writer.problem);
    const upload = new Upload({
      origin,
      writer: writer.value,
      packed,
      publish: (submitted) => intake.publish(submitted),
      problemOf(error) {
        const found = known(error as Error);
        log[found ? "warn" : "error"]({ err: error }, "a part of a bulk upload was not stored");
        return found ?? problem("internal", "a part of the upload could not be stored").problem;
      },
    });
    const isCsv = request.headers["content-type"]!.trim().toLowerCase().startsWith("text/csv");
    const body = request.body as Readable | undefined;
    // Answering before the end of the upload must not destroy the connection that carries the answer.
    const chunks: AsyncIterable<Buffer> = body?.iterator({ destroyOnReturn: false }) ?? nothing();
    await readLines(chunks, (isCsv ? csvReader : ndjsonReader)(writer.value), upload);
    await upload.finish();

    if (origin.correlationId !== undefined) reply.header("X-Correlation-Id", origin.correlationId);
    const { failure, summary } = upload;
    if (failure) return refuse(request, reply, failure, { errors: summary.errors, bulk: upload.progress });
    if (summary.accepted.requests === 0) {
      const detail =
        summary.rejected.rows === 0 ? "the upload holds no line" : `none of ${summary.rejected.rows} lines can be used`;
      return refuse(request, reply, { code: "nothing-accepted", detail }, { errors: summary.errors });
    }
    const { name, version } = origin.model.manifest;
    const answer: BulkSummary = {
      ...summary,
      durability: streams.durability,
      model: { name, version },
      links: { request: stateUrl({ ...place(request.call), id: "{id}" }) },
    };
    return reply.code(202).send(answer);
  };

async function* nothing(): AsyncGenerator<Buffer> {}
