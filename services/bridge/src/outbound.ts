import type { Blobs, ServiceBus } from "@millrace/azure";
import { type Bus, openTable, removeConsumer } from "@millrace/bus";
import { consumerName, OUTCOMES, Route, type RoutesFile } from "@millrace/contracts";
import type { Scope } from "@millrace/kit";
import type { Config } from "./config.ts";
import { bucketMistake, inForce } from "./domain/routes.ts";
import { Throttle } from "./domain/throttle.ts";
import { bridgeMetrics } from "./metrics.ts";
import { type OpenRoute, openRoute } from "./route.ts";
import { runningSet } from "./running-set.ts";

export type OutboundOptions = {
  bus: Bus;
  serviceBus: ServiceBus;
  /** Where what is too large for a message goes. */
  blobs: Blobs | undefined;
  /** The configuration; the bucket's routes come on top. */
  file: RoutesFile;
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
  const file = new Map(options.file.routes.map((route) => [route.name, route]));
  const bucket = new Map<string, Route>();
  const checks = new Map<string, Disposable>();
  /** Deleted from the bucket: the durable goes when the route is closed. */
  const ended = new Set<string>();

  const wanted = (name: string) => inForce(file.get(name), bucket.get(name)).route;
  const routes = runningSet<Route, OpenRoute>({
    kind: "route",
    log,
    wanted,
    async open(route) {
      const opened = await openRoute(scope, { ...options, throttle, metrics, route });
      log.info({ route: route.name, topic: route.topic, queue: route.queue }, "route is in force");
      return opened;
    },
    async forget(name) {
      checks.get(name)?.[Symbol.dispose]();
      checks.delete(name);
      if (!ended.has(name)) return;
      // A consumer that nobody reads any more would hold up retention.
      const unsent = await removeConsumer(bus, OUTCOMES.name, consumerName.bridge(name));
      ended.delete(name);
      if (unsent !== undefined) log.info({ route: name, unsent }, "route has ended");
    },
  });

  const change = (name: string): void => {
    if (wanted(name) && !checks.has(name))
      checks.set(
        name,
        health.check(`route ${name}`, () => routes.get(name)?.health() ?? NOT_OPEN),
      );
    routes.change(name);
  };

  const table = await openTable(bus, "routes", Route, {
    onPut(name, route) {
      const wrong = bucketMistake(name, route, options.file);
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
    [Symbol.asyncDispose]() {
      table[Symbol.dispose]();
      return routes[Symbol.asyncDispose]();
    },
  };
}

const NOT_OPEN = { ok: false, detail: "not open yet" };
