import { setTimeout as sleep } from "node:timers/promises";
import type { Submission } from "@millrace/contracts";
import { machineReadings } from "@millrace/models/readings";
import { MODEL, riskBody } from "../risk-requests.ts";
import type { Plant } from "./plant.ts";

/** The digest of each request that was answered with 202, as it is to be stored, by its id. */
export type Accepted = Map<string, string>;

/** Clients that submit one request after the other over HTTP, each with a key of its own. */
export type Load = {
  readonly accepted: Accepted;
  /** Resolves with the first 202. @throws when there is none in time */
  readonly started: Promise<void>;
  /** No new requests; resolves when those under way are answered. */
  stop(): Promise<void>;
};

/** One request in so many carries so many rows, so that writes span sectors and the store begins new files. */
const LARGE_EVERY = 4;
const LARGE_ROWS = 512;

const ANSWER_MS = 60_000;
const START_MS = 30_000;
const PAUSE_MS = 20;

export function startLoad(plant: Plant, options: { clients: number; prefix: string }): Load {
  const accepted: Accepted = new Map();
  const requests = endlessRequests(options.prefix);
  let stopping = false;
  let begin: () => void = () => {};
  const first = new Promise<void>((resolve) => {
    begin = resolve;
  });

  const client = async () => {
    while (!stopping) {
      const { key, body } = requests.next().value;
      try {
        const response = await fetch(`${plant.http}/v1/${plant.tenant}/${plant.project}/models/${MODEL}/requests`, {
          method: "POST",
          headers: {
            authorization: `Bearer ${plant.token}`,
            "content-type": "application/json",
            "idempotency-key": key,
          },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(ANSWER_MS),
        });
        const answer = (await response.json()) as Submission;
        if (response.status === 202) {
          accepted.set(answer.id, answer.digest);
          begin();
          continue;
        }
      } catch {
        // No answer is no promise.
      }
      await sleep(PAUSE_MS);
    }
  };
  const clients = Promise.all(Array.from({ length: options.clients }, client));
  return {
    accepted,
    started: Promise.race([
      first,
      sleep(START_MS, undefined, { ref: false }).then(() => {
        throw new Error(`nothing was accepted within ${START_MS} ms`);
      }),
    ]),
    async stop() {
      stopping = true;
      await clients;
    },
  };
}

function* endlessRequests(prefix: string): Generator<{ key: string; body: object }, never> {
  for (let number = 0; ; ) {
    let rows: (readonly number[])[] = [];
    for (const { values } of machineReadings({ seed: 5, machines: 10 })) {
      rows.push(values);
      if (rows.length < (number % LARGE_EVERY === 0 ? LARGE_ROWS : 1)) continue;
      yield { key: `${prefix}-${number++}`, body: riskBody(...rows) };
      rows = [];
    }
  }
}
