import { isDeepStrictEqual } from "node:util";
import type { Blobs, ServiceBus } from "@millrace/azure";
import { type Bus, openTable, removeConsumer } from "@millrace/bus";
import { consumerName, OUTCOMES, Route, retryDelay } from "@millrace/contracts";
import type { Scope } from "@millrace/kit";
import { pause } from "./adapters/pause.ts";
import type { Config } from "./config.ts";
import { bucketMistake, inForce } from "./domain/routes.ts";
import { Throttle } from "./domain/throttle.ts";
import { bridgeMetrics } from "./metrics.ts";
import { type OpenRoute, openRoute } from "./route.ts";

export type OutboundOptions = {
  bus: Bus;
  serviceBus: ServiceBus;
  /** Where what is too large for a message goes. */
  blobs: Blobs | undefined;
  /** Of the configuration file; the bucket's come on top. */
  routes: readonly Route[];
};

/**
 * Everything that goes out: a consumer and a link for each route in force. A route that appears, changes or goes is
 * opened, opened anew or closed by itself, one step after the other; the others are not touched.
 */
export async function openOutbound(scope: Scope<Config>, options: OutboundOptions): Promise<AsyncDisposable> {
  const { log, health } = scope;
  const { bus } = options;
  const metrics = bridgeMetrics(scope.metrics);
  const throttle = new Throttle(); // of the namespace
  const file = new Map(options.routes.map((route) => [route.name, route]));
  const bucket = new Map<string, Route>();
  const open = new Map<string, OpenRoute>();
  const checks = new Map<string, Disposable>();
  /** By route, while it is brought to what is in force. */
  const changing = new Map<string, Promise<void>>();
  /** Deleted from the bucket: the durable goes when the route is closed. */
  const ended = new Set<string>();
  const stopping = new AbortController();

  const wanted = (name: string): Route | undefined => {
    if (stopping.signal.aborted) return undefined;
    return inForce(file.get(name), bucket.get(name)).route;
  };

  /** What is in force may change meanwhile: it is looked at again after each step. */
  const bring = async (name: string): Promise<void> => {
    for (let tries = 1; ; ) {
      const route = wanted(name);
      const running = open.get(name);
      if (running && isDeepStrictEqual(running.route, route)) return;
      try {
        if (running) {
          open.delete(name);
          await running[Symbol.asyncDispose]();
        } else if (route) {
          open.set(name, await openRoute(scope, { ...options, throttle, metrics, route }));
          log.info({ route: name, topic: route.topic, queue: route.queue }, "route is in force");
        } else {
          if (!stopping.signal.aborted) await forget(name);
          return;
        }
        tries = 1;
      } catch (err) {
        const delay_ms = retryDelay("infrastructure", tries++) ?? 0;
        log.warn({ err, route: name, delay_ms }, "the route cannot be brought into force; trying again");
        await pause(delay_ms, stopping.signal);
      }
    }
  };

  /** A consumer that nobody reads any more would hold up retention. */
  const forget = async (name: string): Promise<void> => {
    checks.get(name)?.[Symbol.dispose]();
    checks.delete(name);
    if (!ended.has(name)) return;
    const unsent = await removeConsumer(bus, OUTCOMES.name, consumerName.bridge(name));
    ended.delete(name);
    if (unsent !== undefined) log.info({ route: name, unsent }, "route has ended");
  };

  const change = (name: string): void => {
    if (stopping.signal.aborted) return;
    if (wanted(name) && !checks.has(name))
      checks.set(
        name,
        health.check(`route ${name}`, () => open.get(name)?.health() ?? NOT_OPEN),
      );
    if (changing.has(name)) return;
    const step = bring(name).finally(() => changing.delete(name));
    changing.set(name, step);
  };

  const table = await openTable(bus, "routes", Route, {
    onPut(name, route) {
      const wrong = bucketMistake(name, route);
      if (wrong) return log.error({ route: name, wrong }, "a route in the bucket has a mistake; passed over");
      const { refused } = inForce(file.get(name), route);
      if (refused) return log.error({ route: name, refused }, "a route in the bucket is refused");
      bucket.set(name, route);
      ended.delete(name);
      change(name);
    },
    onDelete(name) {
      bucket.delete(name);
      if (!file.has(name)) ended.add(name);
      change(name);
    },
  });
  for (const name of file.keys()) change(name);

  return {
    async [Symbol.asyncDispose]() {
      table[Symbol.dispose]();
      stopping.abort();
      await Promise.all([...changing.values()]);
      await Promise.all([...open.keys()].map((name) => bring(name)));
    },
  };
}

const NOT_OPEN = { ok: false, detail: "not open yet" };
