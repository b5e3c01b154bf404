import { connect } from "node:net";
import type { RequestState, Submission } from "@millrace/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type Ingest, json, POISON, startIngest, TOKEN } from "./testing/ingest.ts";

let ingest: Ingest;
beforeAll(async () => {
  ingest = await startIngest();
}, 30_000);
afterAll(() => ingest?.[Symbol.asyncDispose]());

const SUM = "/v1/acme/plant/models/sum/requests";
const submit = (...row: number[]) =>
  json<Submission>(
    ingest.call(SUM, {
      method: "POST",
      body: JSON.stringify({ inputs: [{ name: "reading", datatype: "FP32", shape: [1, 3], data: row }] }),
      headers: { "content-type": "application/json" },
    }),
  );

type Event = { event: string; id?: string; data: RequestState };

/** The events of a stream as they come, by fetch streaming: an EventSource cannot send the token header. */
async function* eventsOf(path: string, headers: Record<string, string> = {}): AsyncGenerator<Event> {
  const cancel = new AbortController();
  try {
    const response = await ingest.call(path, { headers, signal: cancel.signal });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    let text = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
        const fields = text
          .slice(0, end)
          .split("\n")
          .filter((line) => !line.startsWith(":"));
        text = text.slice(end + 2);
        const of = Object.fromEntries(fields.map((line) => line.split(/: (.*)/s).slice(0, 2)));
        if (of.data === undefined) continue;
        yield { ...of, data: JSON.parse(of.data) };
      }
    }
  } finally {
    cancel.abort();
  }
}

const all = async (events: AsyncGenerator<Event>) => Array.fromAsync(events);
async function take(events: AsyncGenerator<Event>, count: number) {
  const taken: Event[] = [];
  for await (const event of events) if (taken.push(event) === count) break;
  return taken;
}

describe("event streams", () => {
  it("tell of a request: pending, then its outcome, then the end", async () => {
    const { links, id } = await submit(1, 2, 3);
    const events = eventsOf(links.events);
    const first = (await events.next()).value!; // the worker begins after it, or there might be nothing pending to see
    await using _worker = await ingest.work();
    expect([first, ...(await all(events))].map(({ event, data }) => [event, data.id, data.state])).toEqual([
      ["pending", id, "pending"],
      ["done", id, "done"],
    ]);
    expect((await all(eventsOf(links.events))).map(({ event }) => event)).toEqual(["done"]);
    const poison = await submit(1, 2, POISON);
    expect((await all(eventsOf(poison.links.events))).at(-1)).toMatchObject({
      event: "dead",
      data: { outcome: { reason: { code: "model-failed" } } },
    });
  });

  it("tell of a project's outcomes, and go on behind the last one that was seen", async () => {
    await using _worker = await ingest.work();
    const path = "/v1/acme/plant/outcomes/events";
    const ids: string[] = [];
    for (let i = 0; i < 6; i++) ids.push((await submit(i, 0, 0)).id);
    const everything = await take(eventsOf(path, { "last-event-id": "0" }), 8);
    const [resumed] = await take(eventsOf(path, { "last-event-id": everything[3]!.id! }), 1);
    expect(resumed).toEqual(everything[4]);
    expect(everything.slice(-6).map(({ data }) => data.id)).toEqual(ids);

    const live = eventsOf(path);
    const next = live.next();
    await eventually("the stream is open", async () => {
      const text = await (await ingest.call("/metrics")).text();
      return /millrace_event_streams\S* 1\n/.test(text) ? true : undefined;
    });
    const { id } = await submit(9, 9, 9);
    expect((await next).value?.data.id).toBe(id);
    await live.return(undefined);
  });

  it("leave nothing behind when the client goes", async () => {
    const before = (await ingest.operator.jsm.streams.info("OUTCOMES")).state.consumer_count;
    const events = eventsOf("/v1/acme/plant/outcomes/events", { "last-event-id": "0" });
    await events.next();
    await events.return(undefined);
    await eventually("the gauge is back", async () => {
      const text = await (await ingest.call("/metrics")).text();
      return /millrace_event_streams\S* 0\n/.test(text) ? true : undefined;
    });
    await eventually("the consumer is gone", async () => {
      const { consumer_count } = (await ingest.operator.jsm.streams.info("OUTCOMES")).state;
      return consumer_count <= before ? true : undefined;
    });
    const text = await (await ingest.call("/metrics")).text();
    expect(text).toMatch(/millrace_http_requests_total\{[^}]*operation="outcomeEvents"[^}]*\} [1-9]/);
  });

  it("refuse a position that is not one", async () => {
    const response = await ingest.call("/v1/acme/plant/outcomes/events", { headers: { "last-event-id": "x" } });
    expect(response.status).toBe(400);
    const unknown = await ingest.call(`${SUM}/nobody/events`);
    expect(unknown.status).toBe(404);
  });

  it("end when the service stops, and do not keep it", async () => {
    await using other = await startIngest();
    const response = await other.call("/v1/acme/plant/outcomes/events");
    const text = response.text();
    other.stop();
    expect(await text).toContain(": millrace");
    const { hostname, port } = new URL(other.url);
    await other.app.close();
    await expect(
      new Promise((resolve, reject) => connect(Number(port), hostname, () => resolve("open")).on("error", reject)),
    ).rejects.toThrow("ECONNREFUSED");
  }, 30_000);

  it("still know who asks", async () => {
    const response = await fetch(`${ingest.url}/v1/acme/plant/outcomes/events?token=${TOKEN}`);
    expect(response.status).toBe(401);
  });
});
