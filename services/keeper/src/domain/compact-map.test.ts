import { expect, test } from "vitest";
import { CompactMap, hash64 } from "./compact-map.ts";

test("a map keeps what a Map would, through many growths", () => {
  const map = new CompactMap(["f64", "u32"], 7);
  const plain = new Map<string, [number, number]>();
  for (let index = 0; index < 50_000; index++) {
    const key = `acme.plant.pump.${(index * 7919) % 40_000}`;
    plain.set(key, [index * 2 ** 33, index]);
    const entry = map.add(key);
    map.set(entry, 0, index * 2 ** 33);
    map.set(entry, 1, index);
  }
  expect(map.size).toBe(plain.size);
  for (const [key, [wide, narrow]] of plain) {
    const entry = map.find(key)!;
    expect([map.get(entry, 0), map.get(entry, 1)]).toEqual([wide, narrow]);
  }
  expect([...map.entries()]).toHaveLength(plain.size);
  expect(map.find("acme.plant.pump.none")).toBeUndefined();
});

test("hashes of similar keys differ, and depend on the seed", () => {
  const keys = Array.from({ length: 100_000 }, (_, index) => `acme.plant.pump.id-${index}`);
  expect(new Set(keys.map((key) => hash64(key, 1).join())).size).toBe(keys.length);
  // Each half spreads as a random number would: collisions of 100,000 in 2^32 are about one.
  for (const half of [0, 1] as const)
    expect(new Set(keys.map((key) => hash64(key, 1)[half])).size).toBeGreaterThan(keys.length - 12);
  expect(hash64("a", 1)).not.toEqual(hash64("a", 2));
});
