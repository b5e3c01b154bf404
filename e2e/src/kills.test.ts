import { setTimeout as sleep } from "node:timers/promises";
import { eventually, seededRandom, startMillrace, submitAll } from "@millrace/testkit";
import { expect, test } from "vitest";
import { expectExactlyOnce, killEachOnce } from "./exactly-once.ts";
import { MODEL, riskRequests } from "./risk-requests.ts";

const REQUESTS = 1_500;

test("every process is killed once under load, nats-server too, and each request still has one result at each end", async () => {
  await using millrace = await startMillrace();
  await using topic = await millrace.follow();
  const killing = killEachOnce(millrace, { random: seededRandom(), gap_ms: [200, 800] });
  const [accepted] = await Promise.all([submitAll(millrace, riskRequests("kill", REQUESTS)), killing]);

  expect(accepted).toHaveLength(REQUESTS);
  const ids = accepted.map(({ id }) => id);
  const stored = await expectExactlyOnce(millrace, topic, { model: MODEL, ids });
  expect(stored.filter(({ outcome }) => outcome.state !== "done")).toEqual([]);
});

test("SIGTERM under load loses nothing that was accepted", async () => {
  await using first = await startMillrace();
  const { dataDir } = first;
  const stopped = new AbortController();
  const submitting = submitAll(first, riskRequests("stop", 5_000), { signal: stopped.signal });
  await sleep(1_500);
  expect(await first.stop("SIGTERM")).toBe(0);
  stopped.abort();
  const accepted = await submitting;
  expect(accepted.length).toBeGreaterThan(0);
  expect(accepted.length).toBeLessThan(5_000);

  await using second = await startMillrace({ dataDir });
  await using topic = await second.follow();
  for (const { id } of accepted) expect((await second.waitForOutcome(MODEL, id)).state).toBe("done");
  await eventually(async () => {
    const rows = await second.ledger({ model: MODEL, kind: "outcome" });
    expect(new Set(rows.map(({ request_id }) => request_id)).size).toBe(rows.length);
    expect(rows.length).toBeGreaterThanOrEqual(accepted.length);
  });
  await eventually(() => {
    const received = new Set(topic.messages.map(({ messageId }) => messageId.split(".")[0]));
    expect(accepted.filter(({ id }) => !received.has(id))).toEqual([]);
  });
});
