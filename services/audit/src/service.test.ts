import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ask, type Bus, connectBus, provision, recordDurability } from "@millrace/bus";
import {
  AUDIT_QUERY_SUBJECT,
  type AuditPage,
  type AuditQuestion,
  consumerName,
  freshRequestId,
} from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { doneRecord, natsServer, storeOutcome } from "@millrace/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startAudit } from "./testing/audit-process.ts";
import { verifyLedger } from "./verify.ts";

// Each test starts real processes, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const log = createLogger("audit-test", process.env.LOG_LEVEL ?? "fatal");

let stack: AsyncDisposableStack;
let server: Awaited<ReturnType<typeof natsServer>>;
let operator: Bus;
let inference: Bus;
let ingest: Bus;
let ledgerFile: string;

const as = async (user: "operator" | "inference" | "ingest" | "notifier") =>
  stack.use(await connectBus({ url: server.url, user, password: server.passwordOf(user), log }));

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  server = stack.use(await natsServer());
  const dir = await mkdtemp(path.join(tmpdir(), "millrace-audit-"));
  stack.defer(() => rm(dir, { recursive: true }));
  ledgerFile = path.join(dir, "ledger.db");
  operator = await as("operator");
  await provision(operator, { replicas: 1 });
  await recordDurability(operator, { syncAlways: true, replicas: 1, evidence: "test" });
  inference = await as("inference");
  ingest = await as("ingest");
});
afterEach(() => stack.disposeAsync());

const query = (question: AuditQuestion) => ask<AuditPage>(ingest, AUDIT_QUERY_SUBJECT, question);

/** Waits until the ledger has this many entries; answers its head. */
const untilEntries = (count: number, timeout = 30_000) =>
  vi.waitFor(
    async () => {
      const { head } = await query({ limit: 0 });
      expect(head.entries).toBeGreaterThanOrEqual(count);
      return head;
    },
    { timeout, interval: 50 },
  );

/** Stores results in order, a bounded number at once; answers their ids. */
async function storeMany(count: number): Promise<string[]> {
  const records = Array.from({ length: count }, () => doneRecord());
  for (let from = 0; from < count; from += 250)
    await Promise.all(records.slice(from, from + 250).map((record) => storeOutcome(inference, record)));
  return records.map(({ id }) => id);
}

/** Rows of the ledger file, in order. */
function rows(): { id: string; request_id: string; stream: string; stream_sequence: number; record: Uint8Array }[] {
  using database = new DatabaseSync(ledgerFile, { readOnly: true });
  return database.prepare("SELECT * FROM entry ORDER BY seq").all() as ReturnType<typeof rows>;
}

const inStreamOrder = (stream: string) => {
  const sequences = rows()
    .filter((row) => row.stream === stream)
    .map((row) => row.stream_sequence);
  expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
};

test("every outcome becomes one entry, in stream order, its bytes as stored; reading again appends nothing", async () => {
  const ids = await storeMany(5_000);
  {
    await using audit = await startAudit(server, ledgerFile);
    await untilEntries(5_000);
    expect(await audit.readiness()).toMatchObject({ ready: true });
    expect(await audit.stop()).toBe(0);
  }
  expect(new Set(rows().map((row) => row.request_id))).toEqual(new Set(ids));
  inStreamOrder("OUTCOMES");
  const first = verifyLedger(ledgerFile);
  expect(first).toMatchObject({ ok: true, entries: 5_000 });

  // As after a restored stream: the position is lost, so every message comes again.
  {
    using database = new DatabaseSync(ledgerFile);
    database.exec("DELETE FROM position");
  }
  await using again = await startAudit(server, ledgerFile);
  const bytes = await storeOutcome(inference);
  const head = await untilEntries(5_001);
  expect(head.entries).toBe(5_001);
  expect(Buffer.compare(rows().at(-1)!.record, bytes)).toBe(0);
  await again.stop();
  expect(verifyLedger(ledgerFile, { entries: 5_000, chain_hash: first.ok ? first.chain_hash : "" })).toMatchObject({
    ok: true,
    entries: 5_001,
  });
});

test("a killed writer goes on exactly where it stopped, and nothing overtakes", async () => {
  await using audit = await startAudit(server, ledgerFile);
  const storing = storeMany(4_000);
  await untilEntries(300);
  await audit.kill();
  await storing;
  const before = verifyLedger(ledgerFile);
  expect(before).toMatchObject({ ok: true });

  await using next = await startAudit(server, ledgerFile);
  await untilEntries(4_000);
  await next.stop();
  expect(rows()).toHaveLength(4_000);
  inStreamOrder("OUTCOMES");
  if (before.ok) expect(verifyLedger(ledgerFile, before)).toMatchObject({ ok: true, entries: 4_000 });
});

test("a second process stands by, says so, and takes over when the first is killed", async () => {
  await using first = await startAudit(server, ledgerFile);
  await untilEntries(0);
  await using second = await startAudit(server, ledgerFile);
  await vi.waitFor(async () => expect(await second.readiness()).toMatchObject({ ready: true }), { timeout: 5_000 });
  expect((await second.readiness())?.checks.ledger?.detail).toContain("standby");
  await storeMany(200);
  await untilEntries(200);
  await first.kill();
  await storeMany(200);
  await untilEntries(400);
  expect((await second.readiness())?.checks.ledger?.detail).toContain("writer");
  await second.stop();
  inStreamOrder("OUTCOMES");
  expect(verifyLedger(ledgerFile)).toMatchObject({ ok: true, entries: 400 });
});

test("it survives a broker that is killed and comes back", async () => {
  await using audit = await startAudit(server, ledgerFile);
  await storeMany(500);
  await untilEntries(500);
  await server.kill();
  await server.restart();
  await vi.waitFor(() => expect(inference.connected && ingest.connected).toBe(true), { timeout: 10_000 });
  await storeMany(500);
  await untilEntries(1_000);
  await audit.stop();
  inStreamOrder("OUTCOMES");
  expect(verifyLedger(ledgerFile)).toMatchObject({ ok: true, entries: 1_000 });
});

test("events and messages that are neither outcome nor event are entries too", async () => {
  const notifier = await as("notifier");
  const id = freshRequestId();
  const subject = `evt.acme.plant.delivery.alarm.${id}.1`;
  await notifier.store({
    subject,
    exclusive: subject,
    body: Buffer.from(JSON.stringify({ outcome_id: `${id}.1`, model: "pump", b: 1, a: 2 })),
    envelope: {
      id: `${id}.1:alarm`,
      type: "millrace.delivery.made.v1",
      source: "/millrace/notifier",
      subject,
      time: "2026-11-21T12:00:01.000Z",
      datacontenttype: "application/json",
      correlationid: "corr-9",
    },
  });
  await operator.js.publish("out.acme.plant.pump.garbage.done", "not an outcome");
  await storeOutcome(inference, doneRecord({ id }), "binary");
  await using audit = await startAudit(server, ledgerFile);
  await untilEntries(3);

  const { entries } = await query({ id, include: "record" });
  expect(entries.map(({ kind }) => kind).sort()).toEqual(["event", "outcome"]);
  const event = entries.find(({ kind }) => kind === "event")!;
  expect(event).toMatchObject({ model: "pump", request_id: id, correlation_id: "corr-9", tenant: "acme" });
  expect(Buffer.from(event.record!, "base64").toString()).toContain('"data":{"a":2,"b":1,"model"');
  expect(entries.find(({ kind }) => kind === "outcome")!.header_length).toBeGreaterThan(0);
  const unreadable = await query({ kind: "unreadable" });
  expect(unreadable.entries).toMatchObject([{ subject: "out.acme.plant.pump.garbage.done" }]);
  await audit.stop();
  expect(verifyLedger(ledgerFile)).toMatchObject({ ok: true, entries: 3 });
});

test("the durables show the backlog, and nothing stays unacknowledged", async () => {
  await using audit = await startAudit(server, ledgerFile);
  await storeMany(300);
  await untilEntries(300);
  await vi.waitFor(async () => {
    const info = await operator.jsm.consumers.info("OUTCOMES", consumerName.audit("OUTCOMES"));
    expect(info).toMatchObject({ num_pending: 0, num_ack_pending: 0 });
  });
  await audit.stop();
});
