import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { openSecret, type SecretOptions } from "./secret.ts";

/** A place whose contents and clock the test decides. */
function place(options: SecretOptions = {}) {
  const world = { now: 0, contents: ["one"] as string[] | Error, reads: 0, troubles: [] as (string | undefined)[] };
  const secret = openSecret(
    { keyVault: { url: "https://vault", name: "key" } },
    {
      every_ms: 60_000,
      again_ms: 1_000,
      stale_ms_max: 10_000,
      now: () => world.now,
      onTrouble: (why) => world.troubles.push(why),
      async read() {
        world.reads++;
        if (world.contents instanceof Error) throw world.contents;
        return world.contents;
      },
      ...options,
    },
  );
  onTestFinished(() => secret[Symbol.dispose]());
  return { secret, world };
}

it("is read once for all who ask, and not again before its time", async () => {
  const { secret, world } = place();
  const all = await Promise.all(Array.from({ length: 50 }, () => secret.values()));
  expect(new Set(all.flat())).toEqual(new Set(["one"]));
  world.now = 5_000;
  expect(await secret.values()).toEqual(["one"]);
  expect(world.reads).toBe(1);
});

it("is read at once when the current value was refused, for all who say so, but not over and over", async () => {
  const { secret, world } = place({ now: Date.now, again_ms: 300 });
  await secret.values();
  world.contents = ["two", "one"];
  const changes = vi.fn();
  secret.onChange(changes);
  const began = performance.now();
  expect(await Promise.all([secret.refused(), secret.refused(), secret.refused()])).toEqual([true, true, true]);
  expect(performance.now() - began).toBeGreaterThan(200);
  expect(await secret.values()).toEqual(["two", "one"]);
  expect(changes).toHaveBeenCalledTimes(1);
  expect(world.reads).toBe(2);
  expect(await secret.refused()).toBe(false);
  expect(world.reads).toBe(3);
});

it("is read again by itself", async () => {
  const { secret, world } = place({ every_ms: 20, now: Date.now, again_ms: 0 });
  await secret.values();
  world.contents = ["two"];
  await vi.waitFor(async () => expect(await secret.values()).toEqual(["two"]), { timeout: 20_000 });
});

it("keeps the last value through an outage, says so once, and gives it up after a bound", async () => {
  const { secret, world } = place({ again_ms: 0 });
  await secret.values();
  world.contents = new Error("Key Vault is away");
  for (const now of [2_000, 4_000, 10_000]) {
    world.now = now;
    await secret.refused();
    expect(await secret.values()).toEqual(["one"]);
  }
  expect(world.troubles).toEqual(["Key Vault is away"]);
  world.now = 3_600_000;
  await expect(secret.values()).rejects.toThrow(/secret key at https:\/\/vault.*1 h, which is too long.*is away/);
  world.contents = ["one"];
  await secret.refused();
  expect(await secret.values()).toEqual(["one"]);
  expect(world.troubles).toEqual(["Key Vault is away", undefined]);
});

it("what was never read is an error that names the place and the reason", async () => {
  const { secret, world } = place({ read: async () => [""] });
  await expect(secret.values()).rejects.toThrow(
    "Key Vault secret key at https://vault cannot be read: there is nothing",
  );
  expect(world.troubles).toEqual(["there is nothing in it"]);
});

it("a file is read again: its first line is the current value, the next the one before it", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "secret-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = path.join(directory, "key");
  writeFileSync(file, "one\n", { mode: 0o600 });
  using secret = openSecret({ file }, { every_ms: 20, again_ms: 0 });
  expect(await secret.values()).toEqual(["one"]);
  writeFileSync(file, "two\none\n");
  await vi.waitFor(async () => expect(await secret.values()).toEqual(["two", "one"]), { timeout: 20_000 });
  using absent = openSecret({ file: path.join(directory, "none") });
  await expect(absent.values()).rejects.toThrow(/file .*none cannot be read: ENOENT/);
});

it("a setting and the environment are as they were", async () => {
  vi.stubEnv("A_SECRET", "s3");
  onTestFinished(() => void vi.unstubAllEnvs());
  using set = openSecret({ value: "v", name: "SETTING" });
  using env = openSecret({ env: "A_SECRET" });
  using none = openSecret({ env: "NO_SECRET" });
  expect([await set.values(), await env.values()]).toEqual([["v"], ["s3"]]);
  await expect(none.values()).rejects.toThrow("environment variable NO_SECRET cannot be read");
});
