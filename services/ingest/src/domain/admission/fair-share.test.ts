import { describe, expect, it } from "vitest";
import { type Rival, servedWithin, waitOf } from "./fair-share.ts";
import { randomOf } from "./testing/random.ts";

const rival = (weight: number, waiting: number, arriving = 0): Rival => ({ weight, waiting, arriving });

describe("the wait of a lane", () => {
  it.each<[string, number, number, Rival[], number]>([
    ["alone: its backlog by the rate", 1_000, 4, [], 10],
    ["an equal with less: that is done meanwhile", 1_000, 4, [rival(4, 100)], 11],
    ["an equal with more: half the rate", 100, 4, [rival(4, 1_000)], 2],
    ["a rival of four times the weight: a fifth of the rate", 100, 4, [rival(16, 10_000)], 5],
    ["a low lane beside two high ones", 10, 1, [rival(16, 1e6), rival(16, 1e6)], 3.3],
    ["a rival that has nothing, and gets half the rate all the time", 1_000, 4, [rival(4, 0, 50)], 20],
    ["a rival that gets more than its share takes its share", 1_000, 4, [rival(4, 0, 5_000)], 20],
    ["a rival whose share is only filled after a while", 1_000, 4, [rival(4, 100, 20)], 13.75],
    ["nothing", 0, 1, [rival(16, 1e6)], 0],
  ])("%s", (_what, waiting, weight, rivals, expected) => {
    expect(waitOf(waiting, weight, rivals, 100)).toBeCloseTo(expected, 6);
  });

  it("and what is served within it are inverse to each other", () => {
    for (let seed = 1; seed <= 500; seed++) {
      const random = randomOf(seed);
      const pick = (max: number) => Math.floor(random() * max);
      const rivals = Array.from({ length: pick(8) }, () => rival([1, 4, 16][pick(3)]!, pick(1_000), pick(60)));
      const weight = [1, 4, 16][pick(3)]!;
      const waiting = 1 + pick(2_000);
      const wait = waitOf(waiting, weight, rivals, 100);
      expect(servedWithin(wait, weight, rivals, 100), `seed ${seed}`).toBeCloseTo(waiting, 4);
    }
  });

  it("is what a simulation of turns gives", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = randomOf(seed);
      const weights = Array.from({ length: 1 + Math.floor(random() * 5) }, () => [1, 4, 16][Math.floor(random() * 3)]!);
      const held = weights.map(() => 200 + Math.floor(random() * 2_000));
      const rivals = weights.slice(1).map((weight, i) => rival(weight, held[i + 1]!));
      expect(waitOf(held[0]!, weights[0]!, rivals, 1)).toBeCloseTo(turns(held, weights), -2);
    }
  });
});

/** Takes turns by weight until the first lane is empty; answers how many turns that took. */
function turns(held: readonly number[], weights: readonly number[]): number {
  const left = [...held];
  for (let served = 0; ; ) {
    for (const [i, weight] of weights.entries()) {
      const taken = Math.min(weight, left[i]!);
      left[i]! -= taken;
      served += taken;
      if (left[0] === 0) return served;
    }
  }
}
