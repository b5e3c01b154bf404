import { randomUUID } from "node:crypto";
import path from "node:path";
import { expect, test } from "vitest";
import { message } from "./adapters/rhea.ts";
import { rulesToText } from "./adapters/rule-text.ts";
import { readOffered } from "./adapters/sections.ts";
import { SqliteJournal } from "./adapters/sqlite-journal.ts";
import type { Lock } from "./domain/message.ts";
import { Namespace } from "./domain/namespace.ts";
import type { HeldSession } from "./domain/sessions.ts";
import { planNamespace } from "./planning.ts";
import { configOf, scratchFolder } from "./testing/local-broker.ts";
import { randomFrom } from "./testing/random.ts";

/*
 * Whatever was done, a broker that starts on the same folder knows the same. Operations are drawn at random; the seed is in
 * the name of the test.
 */
const Properties = { LockDuration: "PT5S", MaxDeliveryCount: 2, DeadLetteringOnMessageExpiration: true };
const full = planNamespace(
  configOf({
    Queues: [
      { Name: "work", Properties: { ...Properties, ForwardDeadLetteredMessagesTo: "graves" } },
      { Name: "sessions", Properties: { ...Properties, RequiresSession: true } },
      { Name: "inbox", Properties: { ForwardTo: "work" } },
      { Name: "graves" },
      { Name: "comes-and-goes", Properties: { RequiresDuplicateDetection: true } },
    ],
    Topics: [
      {
        Name: "news",
        Subscriptions: [
          { Name: "all", Properties },
          { Name: "comes-and-goes" },
          { Name: "sessions", Properties: { ...Properties, RequiresSession: true } },
          {
            Name: "odd",
            Rules: [
              {
                Name: "odd",
                Properties: { SqlFilter: { SqlExpression: "n % 2 = 1" }, Action: { SqlExpression: "SET n = n + 1" } },
              },
            ],
          },
        ],
      },
    ],
  }),
);
const stays = ({ name }: { name: string }) => name !== "comes-and-goes";
const smaller = {
  queues: full.queues.filter(stays),
  topics: full.topics.map((topic) => ({ ...topic, subscriptions: topic.subscriptions.filter(stays) })),
};

class Run {
  readonly clock: { now: number };
  readonly dir: string;
  readonly random: (below: number) => number;
  journal!: SqliteJournal;
  namespace!: Namespace;
  plan = full;
  sent = 0;
  locks: { queue: string; lock: Lock }[] = [];
  held: HeldSession[] = [];

  constructor(dir: string, seed: number) {
    this.dir = dir;
    this.random = randomFrom(seed);
    this.clock = { now: 1_000_000 };
  }

  open(): void {
    this.journal = new SqliteJournal(this.dir);
    const { clock, journal } = this;
    const around = { now: () => clock.now, newLockToken: () => randomUUID(), journal, read: readOffered };
    this.namespace = new Namespace(this.plan, around);
    journal.restore(this.namespace, clock.now);
    this.locks = [];
    this.held = [];
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[this.random(items.length)];
  }

  readonly operations: readonly (() => void)[] = [
    () => this.send(),
    () => this.send(),
    () => this.send(),
    () => this.lock(),
    () => this.lock(),
    () => this.settle(),
    () => this.settle(),
    () => this.pass(),
    () => this.cancel(),
    () => this.changeRules(),
    () => this.useSessions(),
    () => this.deleteSome(),
    () => this.changePlan(),
  ];

  send(): void {
    const target = this.namespace.target(this.pick(["work", "sessions", "inbox", "comes-and-goes", "news"])!);
    if (!target) return;
    const offered = Array.from({ length: 1 + this.random(3) }, () => {
      const n = ++this.sent;
      const later = this.random(4) === 0 ? new Date(this.clock.now + 1 + this.random(20_000)) : undefined;
      return readOffered(
        message.encode({
          message_id: String(this.random(1_000)),
          group_id: this.random(4) > 0 ? `s${this.random(3)}` : undefined,
          ttl: this.random(5) === 0 ? 1 + this.random(10_000) : undefined,
          message_annotations: later && { "x-opt-scheduled-enqueue-time": later },
          application_properties: { n },
          body: `message ${n}`,
        }),
      );
    });
    this.namespace.routing.send(target, offered);
  }

  lock(): void {
    const queue = this.pick([...this.namespace.queues].filter(({ sessions }) => !sessions))!;
    const deferred = queue.peek(0, 100).filter(({ deferred }) => deferred);
    const found = this.random(3) > 0 ? [queue.lockNext()] : queue.lockDeferred(deferred.map((m) => m.sequenceNumber));
    for (const lock of found) if (lock) this.locks.push({ queue: queue.name, lock });
  }

  settle(): void {
    const [{ queue, lock } = {}] = this.locks.splice(this.random(this.locks.length), 1);
    if (!lock) return;
    const kind = this.pick(["complete", "abandon", "defer", "dead-letter"] as const)!;
    this.namespace.queue(queue!)?.settle(lock.token, { kind });
  }

  pass(): void {
    this.clock.now += this.random(6_000);
    this.namespace.routing.releaseScheduled();
    for (const queue of this.namespace.queues) {
      queue.releaseExpiredLocks();
      queue.expireMessages();
    }
    this.namespace.routing.forwardWaiting();
  }

  cancel(): void {
    const { schedule } = this.namespace.target(this.pick(["work", "news"])!)!;
    const scheduled = this.pick(schedule.peek(0, 100));
    if (scheduled) schedule.cancel([scheduled.sequenceNumber]);
  }

  changeRules(): void {
    const rules = this.namespace.rules(this.pick(["news/Subscriptions/odd", "news/Subscriptions/all"])!)!;
    const name = `r${this.random(3)}`;
    const filter = this.pick([
      { kind: "sql", expression: "n > @n", parameters: { n: BigInt(this.random(100)) } },
      { kind: "correlation", fields: {}, applicationProperties: new Map([["at", new Date(5_000)]]) },
      { kind: "true" },
    ] as const)!;
    if (!rules.remove(name)) rules.add({ name, filter, createdAt: this.clock.now });
  }

  useSessions(): void {
    const sessions = this.namespace.queue(this.pick(["sessions", "news/Subscriptions/sessions"])!)!.sessions!;
    const held = this.random(2) === 0 ? sessions.acceptNext() : sessions.accept(`s${this.random(3)}`);
    if (held) {
      this.held.push(held);
      if (this.random(2) === 0) sessions.setState(held.id, this.pick([Buffer.from("state"), undefined]));
      for (let lock = held.lockNext(); lock; lock = this.random(2) ? held.lockNext() : undefined) {
        held.settle(lock.token, { kind: this.pick(["complete", "abandon", "defer", "dead-letter"] as const)! });
      }
    }
    if (this.random(2) === 0) this.held.splice(this.random(this.held.length), 1)[0]?.release();
  }

  deleteSome(): void {
    const queue = this.namespace.queue(this.pick(["graves", "work", "news/Subscriptions/all"])!)!;
    if (this.random(5) === 0) queue.deleteBefore(this.clock.now, 2);
  }

  changePlan(): void {
    if (this.random(5) > 0) return;
    this.plan = this.plan === full ? smaller : full;
    this.namespace.apply(this.plan);
    this.locks = this.locks.filter(({ queue }) => !queue.includes("comes-and-goes"));
  }

  /** All that must be the same after a restart; locks need not. */
  knowledge() {
    const byName = [...this.namespace.queues].sort((a, b) => (a.name < b.name ? -1 : 1));
    const queues = byName.map((queue) => {
      const { active, deferred, scheduled, bytes, enqueued } = queue.counts();
      return {
        name: queue.name,
        counts: { active, deferred, scheduled, bytes, enqueued: queue.deadLetterQueue && enqueued },
        last: queue.deadLetterQueue && queue.numbers.last,
        messages: queue.peek(0, 10_000).map((stored) => ({ ...stored, content: stored.content.toString("base64") })),
        states: [0, 1, 2].map((n) => queue.sessions?.state(`s${n}`)?.toString()),
        sessions: queue.sessions?.withMessagesOrState().sort(),
      };
    });
    const rules = ["all", "odd"].map((name) => rulesToText(this.namespace.rules(`news/Subscriptions/${name}`)!.list()));
    const { schedule, numbers } = this.namespace.target("news")!;
    const histories = ["comes-and-goes"].map((name) => this.namespace.target(name)?.history?.size);
    const news = { scheduled: schedule.peek(0, 10_000).length, last: numbers.last };
    return JSON.parse(JSON.stringify({ queues, rules, histories, news })); // what is undefined is the same as absent
  }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "a restart changes nothing but locks, after any operations (seed %i)",
  async (seed) => {
    await using place = await scratchFolder();
    const run = new Run(path.join(place.dir, "data"), seed);
    run.open();
    for (let restart = 0; restart < 5; restart++) {
      for (let n = 0; n < 300; n++) run.pick(run.operations)!();
      // What is expired is forgotten when it is looked at: look, so that both have.
      for (const held of run.held) held.release();
      run.pass();
      run.journal.commit();
      const before = run.knowledge();
      run.journal.close();
      run.open();
      const after = run.knowledge();
      expect(after).toEqual(before);
    }
    expect(run.sent).toBeGreaterThan(500);
    run.journal.close();
  },
  60_000,
);
