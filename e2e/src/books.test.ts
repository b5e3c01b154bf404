import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import type { CheckReport } from "@millrace/contracts";
import { eventually, publishByHand, startMillrace, submitAll } from "@millrace/testkit";
import { expect, test } from "vitest";
import { riskRequests } from "./risk-requests.ts";

const REQUESTS = 300;

/** A receiver that takes everything, and counts. */
async function receiver(): Promise<AsyncDisposable & { url: string; ids: Set<string> }> {
  const ids = new Set<string>();
  const server = createServer((request, response) => {
    ids.add(String(request.headers["webhook-id"]));
    request.resume().on("end", () => response.writeHead(204).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections());
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/`,
    ids,
    [Symbol.asyncDispose]: close,
  };
}

test("the books balance after kills, with every effect on record, and a dead letter is open in them", async () => {
  await using told = await receiver();
  const dir = mkdtempSync(path.join(tmpdir(), "millrace-books-"));
  const secret = path.join(dir, "secret");
  const rules = path.join(dir, "rules.json");
  writeFileSync(secret, `whsec_${randomBytes(32).toString("base64")}`);
  writeFileSync(
    rules,
    JSON.stringify({ rules: [{ name: "all", webhook: { url: told.url, secret: { file: secret } } }] }),
  );
  await using millrace = await startMillrace({ rules, env: { STANDING_MS: "1000" } });
  const { run } = millrace;
  const submitting = submitAll(millrace, riskRequests("books", REQUESTS));
  for (const victim of ["notifier", "keeper", "inference"]) await millrace.kill(victim);
  expect(await submitting).toHaveLength(REQUESTS);
  await publishByHand(run, `req.tensor.normal.${run.tenant}.${run.project}.no-such-model.by-hand`, Buffer.from("{}"));

  const report = await eventually(
    async () => {
      const { status, body } = await millrace.call("/v1/check");
      const books = body as CheckReport;
      if (status !== 200 || books.ids.done + books.ids.dead < REQUESTS + 1) throw new Error(JSON.stringify(body));
      const rule = books.effects.find(({ consumer }) => consumer === "notifier-all");
      if (rule?.outcomes !== REQUESTS + 1 || !books.balanced) throw new Error(JSON.stringify(books));
      return books;
    },
    { within_ms: 60_000, every_ms: 500 },
  );
  expect(report.findings).toEqual([]);
  expect(report.ids).toEqual({ accepted: REQUESTS + 1, done: REQUESTS, dead: 1, pending: 0, lost: 0 });
  expect(report.dead_letters).toEqual({ open: 1, redriven: 0, discarded: 0 });
  expect(report.effects).toContainEqual({ consumer: "notifier-all", outcomes: REQUESTS + 1, recorded: REQUESTS + 1 });
  expect(report.effects).toContainEqual({ consumer: "bridge-predictions", outcomes: REQUESTS + 1 });
  expect(told.ids.size).toBe(REQUESTS + 1);
  rmSync(dir, { recursive: true });
});
