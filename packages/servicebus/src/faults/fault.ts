import { type Static, Type } from "typebox";
import { Value } from "typebox/value";

const closed = { additionalProperties: false };

/** Every fault ends by itself, after this unless it says otherwise. */
const DEFAULT_DURATION_MS = 60_000;
const LONGEST_MS = 3_600_000;

const Bounds = {
  /** It ends after so many milliseconds (60,000 unless this, `until` or `times` is given). */
  durationMs: Type.Optional(Type.Integer({ minimum: 1, maximum: LONGEST_MS })),
  /** It ends then (ISO 8601, within an hour). */
  until: Type.Optional(Type.String({ pattern: "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?Z$" })),
};

const Draws = {
  ...Bounds,
  /** It ends when it has struck so often; then, or after an hour at the latest. */
  times: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  /** Where it could strike, it does so with this probability; always unless given. */
  probability: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
  /** The same seed makes the same draws. */
  seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
};

const Common = {
  ...Draws,
  /** A queue, a topic with its subscriptions, or a subscription, each with its dead letters; everything unless given. */
  entity: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 })),
};

const Drop = {
  ...Common,
  /** Strikes all it concerns, every so many milliseconds. */
  everyMs: Type.Optional(Type.Integer({ minimum: 10, maximum: LONGEST_MS })),
  /** Strikes whatever carried each so-manieth message, in either direction. */
  afterTransfers: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
};

const ListOf = <T extends string>(...values: T[]) =>
  Type.Optional(Type.Array(Type.Enum(values), { minItems: 1, uniqueItems: true }));

const Kinds = {
  /** The TCP connection is closed without a word. */
  "drop-connection": Type.Object({ kind: Type.Literal("drop-connection"), ...Drop }, closed),
  /** The link is detached, with `amqp:link:detach-forced`. */
  "drop-link": Type.Object({ kind: Type.Literal("drop-link"), ...Drop }, closed),
  /** Sends, receives or both are refused with `com.microsoft:server-busy`. */
  "server-busy": Type.Object(
    { kind: Type.Literal("server-busy"), ...Common, operations: ListOf("send", "receive") },
    closed,
  ),
  /** When a receiver settles a message (or a message of a session), its lock has just been lost. */
  "lose-lock": Type.Object({ kind: Type.Literal("lose-lock"), ...Common }, closed),
  /** A receiver's settlement is applied, or is not, and the answer never arrives. */
  "lose-disposition": Type.Object(
    { kind: Type.Literal("lose-disposition"), ...Common, applied: Type.Boolean() },
    closed,
  ),
  /** What was sent is stored, and the sender is not told. */
  "lose-send-confirmation": Type.Object({ kind: Type.Literal("lose-send-confirmation"), ...Common }, closed),
  /** Messages, the answers to sends and settlements, or both, take longer. */
  delay: Type.Object(
    {
      kind: Type.Literal("delay"),
      ...Common,
      ms: Type.Integer({ minimum: 1, maximum: 60_000 }),
      of: ListOf("transfer", "disposition"),
    },
    closed,
  ),
  /** AMQP and TLS connections are accepted and hear nothing, old ones neither; afterwards they go on where they were. */
  partition: Type.Object({ kind: Type.Literal("partition"), ...Bounds }, closed),
  /** New AMQP and TLS connections are reset; with an entity, new links to it are refused with `amqp:internal-error`. */
  refuse: Type.Object({ kind: Type.Literal("refuse"), ...Common }, closed),
};

export type FaultKind = keyof typeof Kinds;
export type FaultOf<K extends FaultKind> = Static<(typeof Kinds)[K]>;

/** Something that is to go wrong; see the README for what a client then sees. */
export type Fault = { [K in FaultKind]: FaultOf<K> }[FaultKind];

/** What is wrong with a fault: every mistake at once, each with where it stands. */
export class FaultError extends Error {
  readonly code = "servicebus-fault-invalid";
  readonly mistakes: readonly string[];
  constructor(mistakes: readonly string[]) {
    super(`The fault has mistakes: ${mistakes.join("; ")}`);
    this.name = "FaultError";
    this.mistakes = mistakes;
  }
}

/** @throws FaultError naming every mistake */
export function checkFault(given: unknown, now: number): { fault: Fault; endsAt: number } {
  const kind = (given as { kind?: unknown } | null)?.kind;
  const schema = typeof kind === "string" && Object.hasOwn(Kinds, kind) ? Kinds[kind as FaultKind] : undefined;
  if (!schema) throw new FaultError([`kind: must be one of ${Object.keys(Kinds).join(", ")}`]);
  const errors = [...Value.Errors(schema, given)].filter(({ keyword }) => keyword !== "boolean"); // told by additionalProperties
  const mistakes = errors.map(({ instancePath, message, params }) => {
    const { additionalProperties } = params as { additionalProperties?: string[] };
    return `${instancePath.slice(1) || kind}: ${message}${additionalProperties ? ` (${additionalProperties.join(", ")})` : ""}`;
  });
  if (mistakes.length > 0) throw new FaultError(mistakes);
  const fault = given as Fault;
  if (fault.kind === "drop-connection" || fault.kind === "drop-link") {
    const ways = [fault.everyMs, fault.afterTransfers].filter((way) => way !== undefined);
    if (ways.length !== 1) mistakes.push(`${kind}: needs either everyMs or afterTransfers`);
  }
  const endsAt = endOf(fault, now);
  if (!(endsAt > now && endsAt <= now + LONGEST_MS)) mistakes.push("until: must be within the next hour");
  if (mistakes.length > 0) throw new FaultError(mistakes);
  return { fault, endsAt };
}

function endOf(fault: Fault, now: number): number {
  const { durationMs, until } = fault;
  if (until !== undefined) return Math.min(Date.parse(until), now + (durationMs ?? Number.POSITIVE_INFINITY));
  const counted = (fault as { times?: number }).times !== undefined;
  return now + (durationMs ?? (counted ? LONGEST_MS : DEFAULT_DURATION_MS));
}
