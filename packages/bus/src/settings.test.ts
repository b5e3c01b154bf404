import type { Durability } from "@millrace/contracts";
import { createLogger, createMetrics, Health } from "@millrace/kit";
import { eventually, natsServer } from "@millrace/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Bus, connectBus } from "./bus.ts";
import { measureDurability, recordDurability } from "./durability.ts";
import { provision } from "./provision.ts";
import { openBus } from "./settings.ts";

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const log = createLogger("settings-test", process.env.LOG_LEVEL ?? "silent");
let stack: AsyncDisposableStack;
let server: Awaited<ReturnType<typeof natsServer>>;
let operator: Bus;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  server = stack.use(await natsServer());
  operator = stack.use(
    await connectBus({ url: server.url, user: "operator", password: server.passwordOf("operator"), log }),
  );
  await provision(operator, { replicas: 1 });
});
afterEach(() => stack.disposeAsync());

const scopeOf = (declared: Durability) => {
  const health = new Health();
  health.started();
  const scope = {
    config: {
      NATS_URL: server.url,
      NATS_USER: "notifier",
      NATS_PASSWORD: server.passwordOf("notifier"),
      DURABILITY: declared,
    },
    log,
    health,
    metrics: createMetrics("test"),
    use: (resource: AsyncDisposable | Disposable) => stack.use(resource),
    defer: (cleanUp: () => void) => stack.defer(cleanUp),
    signal: new AbortController().signal,
    fail: () => {},
  };
  return scope as unknown as Parameters<typeof openBus>[0];
};
const record = (syncAlways: boolean, replicas = 1) =>
  recordDurability(operator, { syncAlways, replicas, evidence: "as the test says" });

test.each([
  ["memory", false, 1],
  ["replicated", false, 3],
] as const)(
  "a service that declares fsync refuses a broker that gives %s, and says what to do",
  async (level, sync, replicas) => {
    await record(sync, replicas);
    await expect(openBus(scopeOf("fsync"))).rejects.toThrow(
      new RegExp(
        `fsync is declared, and the broker gives ${level} \\(as the test says\\).*sync_interval.*DURABILITY=${level}`,
        "s",
      ),
    );
    await expect(openBus(scopeOf(level)), "what is declared is kept").resolves.toBeDefined();
  },
);

test("a broker that nobody has looked at is not believed", async () => {
  await expect(openBus(scopeOf("replicated"))).rejects.toThrow("run the provisioner");
});

test("a service is not ready while the broker gives less than was declared, and is again after", async () => {
  await record(true);
  const scope = scopeOf("fsync");
  await openBus(scope);
  expect(scope.health.report()).toMatchObject({ ready: true, checks: { durability: { detail: "fsync" } } });
  await record(false);
  await eventually(() => expect(scope.health.report().ready).toBe(false));
  expect(scope.health.report().checks.durability?.detail).toContain("the broker gives memory");
  await record(true);
  await eventually(() => expect(scope.health.report().ready).toBe(true));
});

test("what is measured comes from the servers and the streams themselves", async () => {
  await using system = await connectBus({
    url: server.url,
    user: "system",
    password: server.passwordOf("system"),
    log,
  });
  expect(await measureDurability(operator, system)).toEqual({
    syncAlways: true,
    replicas: 1,
    evidence: "1 server(s), sync_interval always, 1 replica(s)",
  });
});
