import { setTimeout as sleep } from "node:timers/promises";
import type { MachineReading } from "@millrace/models/readings";
import { type Millrace, PROJECT, TENANT } from "../millrace.ts";
import type { Screen } from "../screen.ts";
import { type Client, createClient } from "./client.ts";
import { demoReadings } from "./readings.ts";
import { Showing } from "./showing.ts";
import { sayWhereThingsAre } from "./summary.ts";
import { startWebhookReceiver } from "./webhook-receiver.ts";

const MODEL = "failure-risk";
const INPUT = "readings";
const THRESHOLD = 0.8;
const SECRET_NAME = "demo-webhook";
const FIRST_PACE_MS = 800;
const LATER_PACE_MS = 5_000;
/** After this time the summary comes even if an end stays silent, with a word about it. */
const PATIENCE_MS = 40_000;

/** A stream of readings, and the four places where their predictions come out. */
export type Demo = AsyncDisposable & {
  /** What the notifier must be told before it starts. @param keyVault URL of the vault that holds the secrets */
  rules(keyVault: string): readonly unknown[];
  /** What those rules refer to in Key Vault. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Plays until the signal. */
  play(millrace: Millrace, signal: AbortSignal): Promise<void>;
};

export async function openDemo(screen: Screen): Promise<Demo> {
  const show = new Showing(screen);
  const receiver = await startWebhookReceiver(({ id }) => show.notification(id));
  return {
    rules: (keyVault) => [demoRule(receiver.url, `${keyVault}/secrets/${SECRET_NAME}`)],
    secrets: { [SECRET_NAME]: receiver.secret },
    play: (millrace, signal) => play(millrace, show, screen, signal),
    [Symbol.asyncDispose]: () => receiver[Symbol.asyncDispose](),
  };
}

const demoRule = (url: string, secret: string) => ({
  name: "at-risk",
  tenant: TENANT,
  project: PROJECT,
  model: MODEL,
  when: { output: "failure_probability", op: ">=", value: THRESHOLD },
  webhook: { url, secret: { keyVault: secret } },
});

async function play(millrace: Millrace, show: Showing, screen: Screen, signal: AbortSignal): Promise<void> {
  const client = createClient(millrace.run, signal);
  const readings = demoReadings();
  screen.heading("Readings of a fleet of pumps go in over HTTP; watch them come out at four ends");
  await using stack = new AsyncDisposableStack();
  const listening = listen(millrace, show, stack);
  const patience_until = performance.now() + PATIENCE_MS;
  let introduced = false;
  while (!signal.aborted) {
    const reading = readings.next().value as MachineReading;
    await step(client, show, reading).catch((error: unknown) => {
      if (!signal.aborted) screen.row("demo", (error as Error).message);
    });
    if (!introduced && (show.missing().length === 0 || performance.now() > patience_until)) {
      introduced = true;
      for (const end of show.missing()) screen.row(end, `nothing yet; ${millrace.dataDir.file("logs")} may say why`);
      sayWhereThingsAre(screen, millrace, reading.values);
      screen.say(`\nOne reading every ${LATER_PACE_MS / 1000} s from here on. Ctrl-C stops everything.\n`);
    }
    await sleep(introduced ? LATER_PACE_MS : FIRST_PACE_MS, undefined, { signal }).catch(() => {});
  }
  await listening;
}

/** Azure's SDK takes a second of processor time to load: it does so beside the first readings, not before them. */
async function listen(millrace: Millrace, show: Showing, stack: AsyncDisposableStack): Promise<void> {
  const { followTopic } = await import("./topic.ts");
  stack.use(
    await followTopic(millrace.run.serviceBus, {
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
