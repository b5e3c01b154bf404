/** One safety step taken out: what stands in `file` exactly once, what stands there instead, and the test that must fail. */
export type Mutation = {
  name: string;
  /** The promise that then hangs in the air. */
  about: string;
  /** From the root of the repository. */
  file: string;
  find: string;
  replace: string;
  /** `packages/<name>/src/….test.ts` or `services/…`. */
  test: string;
};

const bus = (file: string) => `packages/bus/src/${file}`;
const WORKERS = bus("simulation.test.ts");
const STORE = "for (const outgoing of plan.emit) await storeOnce(bus, outgoing);";

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "ack-before-publish",
    about: "a request is acknowledged only when its outcome is stored",
    file: bus("consume.ts"),
    find: STORE,
    replace: `if (plan.action.kind === "ack") source.ack(taken);\n        ${STORE}`,
    test: WORKERS,
  },
  {
    name: "publish-not-awaited",
    about: "the answer to the outcome's publish is waited for",
    file: bus("consume.ts"),
    find: STORE,
    replace: "for (const outgoing of plan.emit) void storeOnce(bus, outgoing).catch(() => {});",
    test: WORKERS,
  },
  {
    name: "dead-letter-after-ack",
    about: "a dead letter is stored before its request is acknowledged",
    file: bus("consume.ts"),
    find: STORE,
    replace: `if (verdict.kind === "reject") source.ack(taken);\n        ${STORE}`,
    test: WORKERS,
  },
  {
    name: "no-dead-letter",
    about: "what cannot be done ends as a dead letter",
    file: bus("settlement.ts"),
    find: "emit: letter ? [letter] : []",
    replace: "emit: []",
    test: WORKERS,
  },
  {
    name: "outcome-forgotten",
    about: "an outcome that could not be stored is held and stored again",
    file: bus("consume.ts"),
    find: "if (!(await hold(1, delay_ms))) return source.giveBack(taken);",
    replace: "return;",
    test: WORKERS,
  },
  {
    name: "no-compare-and-set",
    about: "a message is stored only when it is expected",
    file: bus("outgoing.ts"),
    find: `    ["Nats-Expected-Last-Subject-Sequence", String(message.expected ?? 0)],
    ["Nats-Expected-Last-Subject-Sequence-Subject", message.exclusive],
`,
    replace: "",
    test: WORKERS,
  },
  {
    name: "done-beside-dead",
    about: "one filter covers both ends of a request, so that one excludes the other",
    file: bus("outcome-message.ts"),
    find: "exclusive: outcomeFilter(of),",
    replace: "exclusive: subject,",
    test: bus("outcome-message.test.ts"),
  },
  {
    name: "redrive-answers-nothing",
    about: "a redrive's outcome replaces the dead letter it answers and nothing else",
    file: bus("outcome-message.ts"),
    find: "expected: outcome.answers,",
    replace: "expected: 0,",
    test: WORKERS,
  },
  {
    name: "redrive-unconditional",
    about: "of two redrives of one dead letter, one is stored",
    file: bus("requests.ts"),
    find: "...(redrive ? { expected: redrive.after } : {}),",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source
    replace: "...(redrive ? { expected: redrive.after, exclusive: `${subject}.${redrive.attempt}` } : {}),",
    test: WORKERS,
  },
  {
    name: "redrive-asks-a-replica",
    about: "what stands where a redrive was refused is asked of the leader",
    file: bus("requests.ts"),
    find: "await readLastFromLeader(bus, REQUEST_STREAM.tensor.name, exclusive);",
    replace: "await readLast(bus, REQUEST_STREAM.tensor.name, exclusive);",
    test: WORKERS,
  },
  {
    name: "key-with-another-body",
    about: "an idempotency key stands for one body",
    file: bus("requests.ts"),
    find: "digest) : originalDigestOf(existing) === digest)",
    replace: "digest) : existing)",
    test: WORKERS,
  },
  {
    name: "unknown-is-stored",
    about: "an unanswered publish is tried again, never believed",
    file: bus("publish.ts"),
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source
    find: "throw new UnconfirmedError(`the broker did not confirm ${message.subject} in ${attempt} tries`, { cause });",
    replace: 'return { stored: true, stream: "", sequence: 0 };',
    test: WORKERS,
  },
  {
    name: "exists-is-failure",
    about: "10071 means that the message exists: there is nothing to try again",
    file: bus("publish.ts"),
    find: "if (code === WRONG_LAST_SEQUENCE) return { stored: false };",
    replace: "",
    test: WORKERS,
  },
  {
    name: "in-flight-is-exists",
    about: "10164 means that nothing is known yet",
    file: bus("publish.ts"),
    find: "if (code === WRONG_LAST_SEQUENCE)",
    replace: "if (code === WRONG_LAST_SEQUENCE || code === 10164)",
    test: WORKERS,
  },
  {
    name: "id-twice-in-a-batch",
    about: "a batch never holds one id twice, which the server would not see",
    file: bus("commit.ts"),
    find: "    if (rival) {",
    replace: "    if (rival && Math.random() < 0) {",
    test: WORKERS,
  },
  {
    name: "batch-unknown-is-stored",
    about: "a batch without an answer is tried again",
    file: bus("commit.ts"),
    find: 'return { kind: "unknown", why: String(cause) };',
    replace: 'return { kind: "stored", stream: "", first: 1, why: String(cause) } as never;',
    test: WORKERS,
  },
  {
    name: "batch-refused-is-exists",
    about: "of a refused batch only what exists is answered, the rest goes again",
    file: bus("commit.ts"),
    find: "if ((last.get(entry.message.exclusive) ?? 0) <= expectedBy(entry.message)) return true;",
    replace: "",
    test: WORKERS,
  },
  {
    name: "trouble-is-a-delivery",
    about: "trouble of our own is held, and spends no delivery",
    file: bus("consume.ts"),
    find: 'if (verdict.kind !== "retry" || verdict.retry !== "infrastructure") {',
    replace: 'if (verdict.kind !== "retry" || Math.random() < 2) {',
    test: WORKERS,
  },
  {
    name: "no-heartbeat",
    about: "who has a message in hand says so before the ack wait is over",
    file: bus("source.ts"),
    find: "for (const { message } of this.#open.values()) message.working();",
    replace: "",
    test: WORKERS,
  },
  {
    name: "no-poison-limit",
    about: "a message on which processes die is found by its delivery count, before it is looked at",
    file: bus("consume.ts"),
    find: "if (deliveries <= deliveries_max) return undefined;",
    replace: "if (deliveries <= Number.POSITIVE_INFINITY) return undefined;",
    test: WORKERS,
  },
  {
    name: "suspects-not-gathered",
    about: "who came back together with a poisonous message is not taken for it",
    file: bus("consume.ts"),
    find: "active + settling > 0 || !areGathered())) break;",
    replace: "active + settling > 0)) break;",
    test: WORKERS,
  },
  {
    name: "nak-without-delay",
    about: "what its receiver failed on comes again after the retry table's delay",
    file: bus("source.ts"),
    find: "taken.message.nak(delay_ms);",
    replace: "taken.message.nak();",
    test: "services/notifier/src/simulation.test.ts",
  },
  {
    name: "sent-without-confirmation",
    about: "the bridge acknowledges an outcome when Service Bus has taken the message",
    file: "services/bridge/src/domain/outbox.ts",
    find: "      if (result.ok) {",
    replace: '      if (result.ok || result.kind === "busy") {',
    test: "services/bridge/src/simulation.test.ts",
  },
  {
    name: "sessions-overtake",
    about: "of a session, the bridge has one send under way at a time",
    file: "services/bridge/src/domain/outbox.ts",
    find: "for (const session of sessions) this.#busy.add(session);",
    replace: "",
    test: "services/bridge/src/domain/outbox.test.ts",
  },
  {
    name: "short-window-kept",
    about: "a duplicate detection window shorter than the promised outage is not kept, and plan says so",
    file: "packages/cli/src/azure/plan.ts",
    find: "const short = outage !== undefined && window_s! < outage.seconds;",
    replace: "const short = false as boolean;",
    test: "packages/cli/src/azure/plan.test.ts",
  },
  {
    name: "half-applied",
    about: "with something refused, azure apply changes nothing",
    file: "packages/cli/src/commands/azure-plan.ts",
    find: "if (plan.refusals.length > 0) return session.end(EXIT.refused);",
    replace: "",
    test: "packages/cli/src/azure.test.ts",
  },
  {
    name: "decided-twice",
    about: "a dead letter has one place for one decision",
    file: bus("redrive.ts"),
    find: "    exclusive: subject,\n",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source
    replace: "    exclusive: `${subject}.${decision.at}`,\n",
    test: "services/ingest/src/dead-letters.test.ts",
  },
  {
    name: "weak-broker",
    about: "a service refuses a broker that keeps less than was declared",
    file: bus("durability.ts"),
    find: "DURABILITIES.indexOf(found) < DURABILITIES.indexOf(declared)",
    replace: "declared === undefined && found === declared",
    test: bus("settings.test.ts"),
  },
  {
    name: "retention-takes-the-pending",
    about: "a request stays until its outcome is stored",
    file: "services/keeper/src/domain/retention.ts",
    find: 'return keep("pending");',
    replace: "return retire;",
    test: "services/keeper/src/domain/retention.test.ts",
  },
  {
    name: "retention-takes-the-payload",
    about: "what died stays until somebody has decided about it",
    file: "services/keeper/src/domain/retention.ts",
    find: 'retire : keep("open-dead-letter");',
    replace: "retire : retire;",
    test: "services/keeper/src/domain/retention.test.ts",
  },
];
