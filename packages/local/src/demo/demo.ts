import { setTimeout as sleep } from "node:timers/promises";
import type { MachineReading } from "@millrace/models/readings";
import type { Screen } from "../screen.ts";
import { type Api, type Client, createClient } from "./client.ts";
import { demoReadings } from "./readings.ts";
import { MODEL } from "./rule.ts";
import { Showing } from "./showing.ts";
import type { FollowedTopic } from "./topic.ts";
import { startWebhookReceiver, type WebhookReceiver, type WebhookReceiverOptions } from "./webhook-receiver.ts";

const INPUT = "readings";
const FIRST_PACE_MS = 800;
const LATER_PACE_MS = 5_000;
/** After this time the summary comes even if an end stays silent, with a word about it. */
const PATIENCE_MS = 40_000;

/** Where the demonstration is played: the same on one machine and between containers. */
export type Stage = {
  api: Api;
  topic: FollowedTopic;
  /** Where to look when an end stays silent. */
  logs: string;
  /** Says where things are, and how to go on. @param reading values for a request to paste */
  introduce(reading: readonly number[]): void;
};

/** A stream of readings, and the four places where their predictions come out. */
export type Demo = AsyncDisposable & {
  /** Where it takes webhooks, and what they must be signed with. */
  readonly webhook: Pick<WebhookReceiver, "url" | "secret">;
  /** Plays until the signal. */
  play(stage: Stage, signal: AbortSignal): Promise<void>;
};

export async function openDemo(screen: Screen, webhook: WebhookReceiverOptions = {}): Promise<Demo> {
  const show = new Showing(screen);
  const receiver = await startWebhookReceiver(({ id }) => show.notification(id), webhook);
  return {
    webhook: receiver,
    play: (stage, signal) => play(stage, show, screen, signal),
    [Symbol.asyncDispose]: () => receiver[Symbol.asyncDispose](),
  };
}

async function play(stage: Stage, show: Showing, screen: Screen, signal: AbortSignal): Promise<void> {
  const client = createClient(stage.api, signal);
  const readings = demoReadings();
  screen.heading("Readings of a fleet of pumps go in over HTTP; watch them come out at four ends");
  await using stack = new AsyncDisposableStack();
  const listening = listen(stage.topic, show, stack);
  const patience_until = performance.now() + PATIENCE_MS;
  let introduced = false;
  while (!signal.aborted) {
    const reading = readings.next().value as MachineReading;
    await step(client, show, reading).catch((error: unknown) => {
      if (!signal.aborted) screen.row("demo", (error as Error).message);
    });
    if (!introduced && (show.missing().length === 0 || performance.now() > patience_until)) {
      introduced = true;
      for (const end of show.missing()) screen.row(end, `nothing yet; ${stage.logs} may say why`);
      stage.introduce(reading.values);
      screen.say(`\nOne reading every ${LATER_PACE_MS / 1000} s from here on.\n`);
    }
    await sleep(introduced ? LATER_PACE_MS : FIRST_PACE_MS, undefined, { signal }).catch(() => {});
  }
  await listening;
}

/** Azure's SDK takes a second of processor time to load: it does so beside the first readings, not before them. */
async function listen(topic: FollowedTopic, show: Showing, stack: AsyncDisposableStack): Promise<void> {
  const { followTopic } = await import("./topic.ts");
  stack.use(
    await followTopic(topic, {
      onMessage: (id) => show.message(id),
      onError: (text) => show.trouble(text),
    }),
  );
}

/** One reading: its prediction, and once what the ledger says of it. */
async function step(client: Client, show: Showing, { machine, values }: MachineReading): Promise<void> {
  const { id, outcome, took_ms } = await client.predict(MODEL, INPUT, values, (id) => show.submitted(id, machine));
  if (outcome.state === "dead") return show.trouble(`${machine}: ${outcome.reason.detail}`);
  const [probability = Number.NaN] = [outcome.outputs[0]?.data].flat(3) as number[];
  show.prediction(machine, probability, took_ms);
  if (show.has("ledger")) return;
  const { entries, head } = await client.ledger(id);
  const entry = entries.find(({ kind }) => kind === "outcome");
  if (entry !== undefined) show.ledger(entry, head.entries);
}
