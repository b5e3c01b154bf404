import type { AuditPage, AuditQuestion } from "@millrace/contracts";
import { AuditAnswer } from "@millrace/contracts";
import { Compile } from "typebox/compile";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Ledger, openLedger } from "../adapters/ledger.ts";
import { ledgerFile, outcomeEntry } from "../testing/ledger-file.ts";
import { ANSWER_BYTES_MAX, onAuditAsked } from "./audit-asked.ts";

const COUNT = 50_500; // more than two search windows
const isAnswer = Compile(AuditAnswer);
let stack: DisposableStack;
let ledger: Ledger;

/** Every 1000th is of another model; a second each. */
beforeAll(() => {
  stack = new DisposableStack();
  ledger = stack.use(openLedger(stack.use(ledgerFile()).path));
  const digest = `sha256:${"ab".repeat(32)}`;
  const entries = Array.from({ length: COUNT }, (_, index) => {
    const name = (index + 1) % 1_000 === 0 ? "rare" : "pump";
    return outcomeEntry(index + 1, {
      id: `r-${index + 1}`,
      model: { name, version: "1", digest },
      completed_at: new Date(index * 1_000).toISOString(),
    });
  });
  for (let from = 0; from < COUNT; from += 500)
    ledger.append("OUTCOMES", entries.slice(from, from + 500), { created: "c", sequence: from + 500 });
});
afterAll(() => stack.dispose());

const ask = (question: AuditQuestion): AuditPage => {
  const answer = onAuditAsked(ledger)(question);
  expect(isAnswer.Check(answer)).toBe(true);
  if ("problem" in answer) throw new Error(answer.problem.detail);
  return answer;
};

/** All pages of a question. */
function all(question: AuditQuestion): { seqs: number[]; pages: number } {
  const seqs: number[] = [];
  let after: number | undefined;
  for (let pages = 1; pages < 1_000; pages++) {
    const page = ask({ ...question, ...(after === undefined ? {} : { after }) });
    seqs.push(...page.entries.map(({ seq }) => seq));
    if (page.next === undefined) return { seqs, pages };
    after = page.next;
  }
  throw new Error("the pages do not end");
}

test("an id finds its request and its outcome", () => {
  expect(ask({ id: "r-7" }).entries).toMatchObject([{ seq: 7, id: "r-7.1", request_id: "r-7" }]);
  expect(ask({ id: "r-7.1", order: "desc" }).entries).toMatchObject([{ seq: 7 }]);
  expect(ask({ id: "absent" })).toMatchObject({ entries: [] });
});

const rare = Array.from({ length: 50 }, (_, index) => (index + 1) * 1_000);

test.each([
  ["asc", rare],
  ["desc", rare.toReversed()],
] as const)("a model's entries, page by page, %s", (order, expected) => {
  expect(all({ model: "rare", limit: 7, order }).seqs).toEqual(expected);
});

test("every entry comes exactly once, in both orders", () => {
  const { seqs } = all({ limit: 1_000 });
  expect(seqs).toEqual(Array.from({ length: COUNT }, (_, index) => index + 1));
  expect(all({ limit: 1_000, order: "desc" }).seqs).toEqual(seqs.toReversed());
});

test("times bound a question: from is included, to is not", () => {
  const time = (seconds: number) => new Date(seconds * 1_000).toISOString();
  expect(all({ from: time(41_000), to: time(41_003) }).seqs).toEqual([41_001, 41_002, 41_003]);
});

test("tenant, project, state and kind narrow it; the head comes with every answer", () => {
  expect(ask({ tenant: "acme", project: "plant", state: "done", kind: "outcome", limit: 1 }).entries).toHaveLength(1);
  expect(ask({ tenant: "other" }).entries).toEqual([]);
  expect(ask({ limit: 0 })).toEqual({ entries: [], head: ledger.head() });
});

test("records come when asked for, and an answer stays under a message's size", () => {
  const page = ask({ limit: 1_000, include: "record" });
  expect(Buffer.from(page.entries[0]!.record!, "base64").toString()).toContain('"id":"r-1"');
  expect(JSON.stringify(page).length).toBeLessThan(ANSWER_BYTES_MAX + 1_000);
  expect(all({ limit: 1_000, include: "record", to: new Date(2_000_000).toISOString() }).seqs).toHaveLength(2_000);
});

test("a record too large for an answer is left out; its entry is not", () => {
  using file = ledgerFile();
  using other = openLedger(file.path);
  const data = new Float64Array(60_000).fill(0.123456789);
  const large = outcomeEntry(2, { outputs: [{ name: "x", datatype: "FP64", shape: [60_000, 1], data }] });
  other.append("OUTCOMES", [outcomeEntry(1), large, outcomeEntry(3)], { created: "c", sequence: 3 });
  const answer = onAuditAsked(other)({ include: "record" }) as AuditPage;
  expect(answer).toMatchObject({ entries: [{ seq: 1 }], next: 1 });
  const rest = onAuditAsked(other)({ include: "record", after: 1 }) as AuditPage;
  expect(rest.entries).toMatchObject([{ seq: 2, record_bytes: large.canonical.byteLength }]);
  expect(rest.entries[0]).not.toHaveProperty("record");
});

test.each([
  [{ limit: 1_001 }, "/limit"],
  [{ from: "yesterday" }, "/from"],
  [{ to: "2026-11-21" }, "/to"],
  [{ tenant: "a.b" }, "/tenant"],
  [{ tenants: "a" }, "/tenants"],
  ["garbage", "/"],
])("%j is answered with what is wrong", (question, at) =>
  expect(onAuditAsked(ledger)(question)).toMatchObject({ problem: { code: "invalid-query", at } }),
);
