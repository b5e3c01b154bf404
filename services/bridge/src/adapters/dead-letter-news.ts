import type { MessageOrigin } from "@millrace/azure";
import { type Bus, readLastFromLeader } from "@millrace/bus";
import { EVENTS, eventSubject, ServiceBusDeadLettered } from "@millrace/contracts";
import { Value } from "typebox/value";
import { entityToken } from "../domain/dead-letter-look.ts";

/** An entity is of no tenant and no project. */
const NOBODY = "_";

/** The last event about an entity: what was said, and where it stands. */
export type LastNews = { count: number; sequence: number };

const subjectOf = (entity: MessageOrigin): string =>
  eventSubject({ tenant: NOBODY, project: NOBODY, kind: "servicebus", detail: [entityToken(entity)] });

/** What was last said of an entity's dead letters, by any replica. @throws NatsError */
export async function lastNews(bus: Bus, entity: MessageOrigin): Promise<LastNews> {
  const stored = await readLastFromLeader(bus, EVENTS.name, subjectOf(entity));
  if (!stored) return { count: 0, sequence: 0 };
  const value = parse(stored.body);
  return { count: Value.Check(ServiceBusDeadLettered.schema, value) ? value.count : 0, sequence: stored.sequence };
}

/**
 * Says it, unless somebody has said something since `last`: of replicas that see the same, one speaks. Answers where it
 * stands.
 * @throws StorageFullError, UnconfirmedError
 */
export async function publishNews(
  bus: Bus,
  entity: MessageOrigin,
  { news, last }: { news: ServiceBusDeadLettered; last: LastNews },
): Promise<number | undefined> {
  const subject = subjectOf(entity);
  const id = `${entityToken(entity)}.${last.sequence}`;
  const stored = await bus.store({
    subject,
    exclusive: subject,
    expected: last.sequence,
    body: Buffer.from(JSON.stringify(news)),
    envelope: {
      id: `servicebus:${id}`,
      type: ServiceBusDeadLettered.type,
      source: `/millrace/${bus.user}`,
      subject,
      time: news.at,
      datacontenttype: "application/json",
      correlationid: id,
    },
  });
  return stored.stored ? stored.sequence : undefined;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return undefined;
  }
}
