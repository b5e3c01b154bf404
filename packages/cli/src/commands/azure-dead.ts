import { randomUUID } from "node:crypto";
import type { MessageOrigin, PeekedMessage, ServiceBus } from "@millrace/azure";
import { type Command, Option } from "commander";
import { entityOf } from "../azure/entity.ts";
import { administrationOf, type Target, type TargetOptions, targetOf } from "../azure/target.ts";
import { EXIT, Failure, usage } from "../failure.ts";
import { plain, table } from "../print/table.ts";
import { limitOf } from "./dead-options.ts";
import type { Session } from "./session.ts";

type ListOptions = TargetOptions & { entity: string; limit: number; json?: true };
type RedriveOptions = TargetOptions & { entity: string; limit?: number; all?: true; toTopic?: true; dryRun?: true };

const LIST_LIMIT = 20;
/** Peeked at most: a dead-letter queue may hold millions. */
const LOOK_MAX = 1_000;

/** `millrace azure dead …`: what Service Bus has dead-lettered, and moving it back. */
export function addAzureDead(azure: Command, session: Session): void {
  const dead = azure
    .command("dead")
    .description("look at the dead letters of a queue or subscription at Service Bus, and move them back")
    .helpCommand(false);
  addList(dead, session);
  addRedrive(dead, session);
}

const entity = () => new Option("--entity <path>", "QUEUE, or TOPIC/Subscriptions/NAME").makeOptionMandatory();

function addList(dead: Command, { world }: Session): void {
  dead
    .command("list")
    .description("list dead letters, oldest first, with the reason; bodies are not shown, and nothing is taken")
    .addOption(entity())
    .option("--limit <n>", "so many at most", limitOf, LIST_LIMIT)
    .option("--json", "one JSON document per line")
    .action(async (_: object, command: Command) => {
      const options = command.optsWithGlobals<ListOptions>();
      const of = entityOf(options.entity);
      const target = await targetOf(options, world);
      const found = await using(target, (serviceBus) =>
        serviceBus.peek(of, { count: Math.min(options.limit, LOOK_MAX), deadLetters: true }),
      );
      const count = await countOf(target, of);
      if (options.json) for (const message of found) world.out(`${JSON.stringify(message)}\n`);
      else world.out(found.length > 0 ? messagesTable(found) : `${options.entity} has no dead letters.\n`);
      if (found.length === 0) return;
      if (count === undefined) world.error("How many there are needs the right to manage.\n");
      else if (count > found.length) world.error(`${found.length} of ${count}: use a larger --limit.\n`);
    });
}

function addRedrive(dead: Command, { world }: Session): void {
  dead
    .command("redrive")
    .description("move dead letters back to their queue, oldest first; each is sent as a clone, then taken out")
    .addOption(entity())
    .option("--limit <n>", "so many at most", limitOf)
    .option("--all", "all that are there now")
    .option("--to-topic", "of a subscription: send to its topic, where every subscription may get them")
    .option("--dry-run", "show what would be moved, and change nothing")
    .addHelpText("after", REDRIVE_HELP)
    .action(async (_: object, command: Command) => {
      const options = command.optsWithGlobals<RedriveOptions>();
      const of = entityOf(options.entity);
      if ((options.limit === undefined) === !options.all)
        throw usage("Say how many to move.", "Give either --limit N or --all.");
      if ("topic" in of && !options.toTopic)
        throw usage(
          "Nothing can be put back into a subscription alone: it goes to the topic, and every subscription may get it.",
          "Give --to-topic if that is meant. A rule on the property millrace-redriven-from keeps others out.",
        );
      const target = await targetOf(options, world);
      if (options.dryRun) {
        const count = Math.min(options.limit ?? LOOK_MAX, LOOK_MAX);
        const found = await using(target, (serviceBus) => serviceBus.peek(of, { count, deadLetters: true }));
        world.out(found.length > 0 ? messagesTable(found) : "");
        world.out(`${found.length}${found.length === LOOK_MAX ? " or more" : ""} would be moved; nothing was.\n`);
        return;
      }
      const limit = options.limit ?? Number.MAX_SAFE_INTEGER;
      let kept = 0;
      const moved = await using(target, (serviceBus) =>
        serviceBus.redrive(of, {
          limit,
          run: randomUUID(),
          onMessage({ messageId, as, kept: why }) {
            if (why !== undefined) kept++;
            world.out(`${plain(messageId)}  ${why === undefined ? `moved as ${plain(as)}` : `stays: ${why}`}\n`);
          },
        }),
      );
      world.out(`${moved} moved${kept > 0 ? `, ${kept} stay` : ""}.\n`);
    });
}

const REDRIVE_HELP = `
A clone has the same body, properties and session, and another MessageId (<original>:redrive-<n>), since under the old one a
queue with duplicate detection would swallow it. Properties say millrace-original-message-id, millrace-redrives and
millrace-redriven-from. A source of the bridge goes by the original id: what was accepted before stays one request.
Interrupted, give the command again: a message that was sent and not yet taken out is sent under the same id.`;

/** How many there are; undefined where that may not be asked. */
async function countOf(target: Target, of: MessageOrigin): Promise<number | undefined> {
  try {
    return await (await administrationOf(target)).deadLetters(of);
  } catch {
    return undefined;
  }
}

/** Azure's SDK is loaded here and not before: it costs what other commands do not need. */
async function using<T>(target: Target, use: (serviceBus: ServiceBus) => Promise<T>): Promise<T> {
  const { openServiceBus, toFailure } = await import("@millrace/azure");
  await using serviceBus = await openServiceBus(target.address);
  try {
    return await use(serviceBus);
  } catch (cause) {
    const { kind, why } = toFailure(cause);
    const isNo = kind === "not-found" || kind === "unauthorized" || kind === "refused" || kind === "too-large";
    throw new Failure(isNo ? EXIT.refused : EXIT.unavailable, {
      what: `Service Bus ${target.name} did not do it`,
      why,
      fix: isNo
        ? "Check the entity; reading takes the right to listen, moving back also the right to send. An entity with sessions keeps its dead letters without."
        : "Check the name, the network and its firewall; the same command later may work.",
      cause,
    });
  }
}

const messagesTable = (messages: readonly PeekedMessage[]): string =>
  table(
    ["enqueued", "deliveries", "reason", "message id", "description"],
    messages.map((message) => [
      message.enqueuedTimeUtc?.toISOString(),
      message.deliveryCount,
      message.deadLetterReason,
      String(message.messageId ?? ""),
      message.deadLetterErrorDescription?.slice(0, DESCRIPTION_MAX),
    ]),
  );
const DESCRIPTION_MAX = 120;
