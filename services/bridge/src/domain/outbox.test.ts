import type { OutgoingMessage, SendFailureKind, SendResult } from "@millrace/azure";
import { seeded } from "@millrace/contracts/testing";
import { expect, it } from "vitest";
import { Outbox, type OutboxOptions, type OutboxReport } from "./outbox.ts";
import { Throttle } from "./throttle.ts";

const message = (id: string, sessionId?: string, bytes = 10): OutgoingMessage => ({
  messageId: id,
  body: Buffer.alloc(bytes),
  ...(sessionId === undefined ? {} : { sessionId }),
});
const failed = (kind: SendFailureKind): SendResult => ({ ok: false, kind, why: "said so" });

/** An outbox on a link that answers as a test wants, in virtual time: each wait passes at once. */
function outbox(
  answer: (messages: readonly OutgoingMessage[], send: number) => SendResult[] | Promise<SendResult[]>,
  over: Partial<OutboxOptions> = {},
) {
  let now = 0;
  const sends: string[][] = [];
  const waits: number[] = [];
  const reports: OutboxReport[] = [];
  const it = new Outbox({
    link: {
      async sendAll(messages) {
        sends.push(messages.map(({ messageId }) => String(messageId)));
        return await answer(messages, sends.length);
      },
    },
    throttle: new Throttle(),
    messages_max: 4,
    sends_max: 3,
    now: () => now,
    async wait(ms) {
      waits.push(ms);
      now += ms;
    },
    onReport: (report) => reports.push(report),
    ...over,
  });
  return { it, sends, waits, reports };
}

it("sends in order, in batches of bounded count and bytes, several at once", async () => {
  const MiB = 1024 * 1024;
  const { it, sends } = outbox((messages) => messages.map(() => ({ ok: true })));
  const sent = await it.send([
    ...["a", "b", "c", "d", "e"].map((id) => message(id)),
    message("f", undefined, MiB),
    message("g", undefined, 2 * MiB),
  ]);
  expect(sent.every(({ kind }) => kind === "sent")).toBe(true);
  expect(sends).toEqual([["a", "b", "c", "d"], ["e"], ["f"], ["g"]]);
});

it("holds what failed, sends it again behind growing delays, one send at a time, and then says that it works", async () => {
  const { it, sends, waits, reports } = outbox((messages, send) =>
    messages.map(() => (send <= 4 ? failed("transient") : { ok: true })),
  );
  await it.send(["a", "b"].map((id) => message(id)));
  expect(sends).toEqual(Array.from({ length: 5 }, () => ["a", "b"]));
  expect(waits).toEqual([250, 500, 1_000, 2_000]);
  expect(reports.map(({ state }) => state)).toEqual(["closed", "closed", "open", "open", "closed"]);
  expect(reports.at(-1)).toMatchObject({ sent: 2, held: 0, why: undefined });
});

it.each([
  ["not-found", "missing"],
  ["disabled", "disabled"],
  ["full", "full"],
  ["unauthorized", "unauthorized"],
] as const)("an entity that says %s blocks the route at once, as %s", async (kind, blocked) => {
  const { it, reports } = outbox((messages, send) => messages.map(() => (send === 1 ? failed(kind) : { ok: true })));
  await it.send([message("a")]);
  expect(reports.map((report) => [report.state, report.blocked])).toEqual([
    ["open", blocked],
    ["closed", undefined],
  ]);
});

it("gives up a message that is refused three times, and one too large at once; the others are sent", async () => {
  const of = { odd: "refused", large: "too-large" } as Readonly<Record<string, SendFailureKind>>;
  const { it, sends } = outbox((messages) =>
    messages.map(({ messageId }) => (of[String(messageId)] ? failed(of[String(messageId)]!) : { ok: true })),
  );
  const sent = await it.send(["a", "odd", "large", "b"].map((id) => message(id)));
  expect(sent.map(({ kind }) => kind)).toEqual(["sent", "refused", "refused", "sent"]);
  expect(sends).toEqual([["a", "odd", "large", "b"], ["odd"], ["odd"]]);
});

it("sends a claim check in place of what is too large, when there is one, and waits for the place where it is kept", async () => {
  let tries = 0;
  const { it, sends, reports } = outbox(
    (messages) => messages.map(({ body }) => (body.byteLength > 100 ? failed("too-large") : { ok: true })),
    {
      async claim({ messageId }) {
        if (++tries === 1) throw new Error("503");
        return message(`claim of ${messageId}`, undefined, messageId === "never" ? 150 : 10);
      },
    },
  );
  const sent = await it.send([message("large", undefined, 200), message("never", undefined, 200)]);
  expect(sent.map(({ kind }) => kind)).toEqual(["sent", "refused"]);
  expect(sends.at(-1)).toEqual(["claim of large"]);
  expect(reports[0]!.why).toContain("the claim check cannot be stored: 503");
});

it("when stopped, gives back what waits and lets the sends under way end", async () => {
  const { promise, resolve } = Promise.withResolvers<SendResult[]>();
  const { it } = outbox(() => promise, { sends_max: 1 });
  const sent = it.send(["a", "b", "c", "d", "e"].map((id) => message(id)));
  it.stop();
  resolve([{ ok: true }, { ok: true }, failed("transient"), failed("transient")]);
  expect((await sent).map(({ kind }) => kind)).toEqual(["sent", "sent", "stopped", "stopped", "stopped"]);
});

it("whatever fails, a session's messages are taken in order, and never two sends of it at once", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed);
    const taken: OutgoingMessage[] = [];
    const underWay = new Set<string>();
    const { it } = outbox(
      async (messages) => {
        const sessions = new Set(messages.map(({ sessionId }) => sessionId!));
        for (const session of sessions) {
          expect([seed, underWay.has(session)]).toEqual([seed, false]);
          underWay.add(session);
        }
        for (let turns = Math.floor(random() * 5); turns > 0; turns--) await Promise.resolve();
        // A link as packages/azure's: behind a failure nothing is sent, behind a refusal nothing of the session.
        let broken = false;
        let lost = random() < 0.3 ? Math.floor(random() * 4) : 0; // of the batch that failed: taken, and the confirmation lost
        const stuck = new Set<string>();
        const results = messages.map((each): SendResult => {
          if (stuck.has(each.sessionId!)) return failed("behind");
          broken ||= random() < 0.05;
          if (broken) {
            if (lost-- > 0) taken.push(each);
            return failed("transient");
          }
          if (random() < 0.05) {
            stuck.add(each.sessionId!);
            return failed("refused");
          }
          taken.push(each);
          return { ok: true };
        });
        for (const session of sessions) underWay.delete(session);
        return results;
      },
      { messages_max: 1 + Math.floor(random() * 8), sends_max: 1 + Math.floor(random() * 4) },
    );
    const calls = Array.from({ length: 5 }, (_, call) =>
      it.send(Array.from({ length: 20 }, (_, n) => message(String(call * 20 + n), `s${Math.floor(random() * 4)}`))),
    );
    const sent = (await Promise.all(calls)).flat();
    const first = new Map<string, number[]>(); // as duplicate detection lets them through
    const seen = new Set<unknown>();
    for (const { messageId, sessionId } of taken) {
      if (seen.has(messageId)) continue;
      seen.add(messageId);
      first.set(sessionId!, [...(first.get(sessionId!) ?? []), Number(messageId)]);
    }
    for (const [index, { kind }] of sent.entries())
      if (kind === "sent") expect([seed, seen.has(String(index))]).toEqual([seed, true]);
    for (const order of first.values()) expect([seed, order]).toEqual([seed, order.toSorted((a, b) => a - b)]);
  }
});
