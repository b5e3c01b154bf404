import { STREAMS } from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import type { Outgoing, Stored } from "./outgoing.ts";
import { readLastFromLeader } from "./read.ts";

/**
 * Stores what a delivery leads to. Refused means that it is there already, with one exception: a message that follows
 * another one (the outcome of a redrive, which replaces a dead letter) is also refused when that one is not retained any
 * more, or never was. Then nothing is there, and it stands for itself.
 * @throws StorageFullError, UnconfirmedError, NatsError
 */
export async function storeOnce(bus: Bus, message: Outgoing): Promise<Stored> {
  const stored = await bus.store(message);
  if (stored.stored || (message.expected ?? 0) === 0) return stored;
  const stream = STREAMS.find(({ subjects }) => subjects.some((subject) => root(subject) === root(message.subject)));
  if (!stream || (await readLastFromLeader(bus, stream.name, message.exclusive))) return stored;
  return await bus.store({ ...message, expected: 0 });
}

const root = (subject: string) => subject.split(".", 1)[0];
