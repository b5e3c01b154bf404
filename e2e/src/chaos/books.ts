import { createHash } from "node:crypto";
import { type AuditEntry, outcomeId } from "@millrace/contracts";
import type { ReceivedMessage, StoredOutcome } from "@millrace/testkit";

/** What was accepted, and what arrived at each end. */
export type Ends = {
  /** Ids of accepted requests, each as often as it was accepted. */
  accepted: readonly string[];
  outcomes: readonly StoredOutcome[];
  /** Ledger rows of outcomes. */
  ledger: readonly Pick<AuditEntry, "id">[];
  /** From the topic, every delivery. */
  messages: readonly Pick<ReceivedMessage, "messageId" | "sequenceNumber" | "body">[];
  /** Every delivery; absent when nobody was to be told. */
  webhooks?: readonly { id: string; bytes: Uint8Array }[];
};

/** The books of a run. They balance when every end has the accepted requests, each once, and nothing else. */
export type Books = {
  balanced: boolean;
  /** `answers` that said so, and the distinct requests they named. */
  accepted: { answers: number; ids: number };
  outcomes: { stored: number; ids: number; done: number; dead: number };
  ledger: { rows: number; ids: number };
  /** `redelivered`: the same message again, because its completion was lost; a receiver knows it by its number. */
  messages: { stored: number; ids: number; contents_per_id_max: number; redelivered: number };
  /** `repeated`: the same id with the same content again, which its receiver knows by the id. */
  webhooks?: { received: number; ids: number; contents_per_id_max: number; repeated: number };
  /** Accepted, and absent from an end: `<end> <id>`. */
  lost: Findings;
  /** At an end twice, or with two contents. */
  doubled: Findings;
  /** At an end, and never accepted. */
  unknown: Findings;
};

/** How many, and the first of them by name. */
export type Findings = { count: number; first: readonly string[] };

const NAMED = 20;

export function makeBooks({ accepted, outcomes, ledger, messages, webhooks }: Ends): Books {
  const ids = new Set(accepted);
  const lost: string[] = [];
  const doubled: string[] = [];
  const unknown: string[] = [];
  /** Compares one end's ids, each named once, with what was accepted. */
  const compare = (end: string, found: ReadonlySet<string>) => {
    for (const id of ids) if (!found.has(id)) lost.push(`${end} ${id}`);
    for (const id of found) if (!ids.has(id)) unknown.push(`${end} ${id}`);
  };
  const once = (end: string, counts: ReadonlyMap<string, number>) => {
    for (const [id, count] of counts) if (count > 1) doubled.push(`${end} ${id} (${count})`);
  };

  compare("outcomes", new Set(outcomes.map(({ outcome }) => outcome.id)));
  once("outcomes", countBy(outcomes.map(({ outcome }) => outcome.id)));

  compare("ledger", new Set(ledger.map(({ id }) => requestOf(id))));
  once("ledger", countBy(ledger.map(({ id }) => requestOf(id))));

  /** A message of the subscription has one number; delivered again it keeps it. */
  const stored = [...new Map(messages.map((message) => [message.sequenceNumber, message])).values()];
  compare("messages", new Set(stored.map(({ messageId }) => requestOf(messageId))));
  once("messages", countBy(stored.map(({ messageId }) => requestOf(messageId))));
  const messageContents = contents(messages.map(({ messageId, body }) => ({ id: messageId, bytes: body })));
  once("message contents", sizes(messageContents));

  // What the topic carries is what was stored, byte by byte.
  const digests = new Map(
    outcomes.map(({ outcome, body }) => [outcomeId(outcome.id, outcome.attempt), sha256(body.bytes)]),
  );
  for (const { messageId, body } of stored) {
    const expected = digests.get(outcomeOf(messageId));
    if (expected !== undefined && expected !== sha256(body)) doubled.push(`message ${messageId} is not its outcome`);
  }

  const webhookContents = webhooks && contents(webhooks);
  if (webhookContents) {
    compare("webhooks", new Set([...webhookContents.keys()].map(requestOf)));
    once("webhooks", countBy([...webhookContents.keys()].map(requestOf)));
    once("webhook contents", sizes(webhookContents));
  }

  return {
    balanced: lost.length + doubled.length + unknown.length === 0,
    accepted: { answers: accepted.length, ids: ids.size },
    outcomes: {
      stored: outcomes.length,
      ids: new Set(outcomes.map(({ outcome }) => outcome.id)).size,
      done: outcomes.filter(({ outcome }) => outcome.state === "done").length,
      dead: outcomes.filter(({ outcome }) => outcome.state === "dead").length,
    },
    ledger: { rows: ledger.length, ids: new Set(ledger.map(({ id }) => id)).size },
    messages: {
      stored: stored.length,
      ids: messageContents.size,
      contents_per_id_max: most(messageContents),
      redelivered: messages.length - stored.length,
    },
    ...(webhooks && webhookContents
      ? {
          webhooks: {
            received: webhooks.length,
            ids: webhookContents.size,
            contents_per_id_max: most(webhookContents),
            repeated: webhooks.length - webhookContents.size,
          },
        }
      : {}),
    lost: findings(lost),
    doubled: findings(doubled),
    unknown: findings(unknown),
  };
}

/** `<request id>.<attempt>` of an effect id, which is that and `:<destination>`. */
const outcomeOf = (effect: string) => effect.split(":", 1)[0]!;
const requestOf = (effect: string) => outcomeOf(effect).replace(/\.\d+$/, "");

function countBy(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/** The distinct contents under each id. */
function contents(deliveries: readonly { id: string; bytes: Uint8Array }[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const { id, bytes } of deliveries) found.set(id, (found.get(id) ?? new Set()).add(sha256(bytes)));
  return found;
}

const sizes = (sets: ReadonlyMap<string, ReadonlySet<string>>) => new Map([...sets].map(([id, set]) => [id, set.size]));
const most = (sets: ReadonlyMap<string, ReadonlySet<string>>) =>
  [...sets.values()].reduce((max, { size }) => Math.max(max, size), 0);
const findings = (names: readonly string[]): Findings => ({ count: names.length, first: names.slice(0, NAMED) });
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
