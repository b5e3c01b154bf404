import { expect, it } from "vitest";
import { Breaker } from "./breaker.ts";
import { TROUBLE } from "./trouble.ts";

it("lets one send probe after each delay, and all again once it worked", () => {
  const breaker = new Breaker();
  expect(breaker.wait_ms(0)).toBe(0);
  breaker.begin();
  breaker.begin(); // several at once while all is well
  breaker.failed("transient", "lost", 0);
  breaker.failed("transient", "lost", 1); // the other of them: the same failure
  expect(breaker.wait_ms(100)).toBe(150);
  expect(breaker.wait_ms(250)).toBe(0);
  breaker.begin();
  expect(breaker.wait_ms(250)).toBeUndefined();
  breaker.failed("transient", "lost", 300);
  expect([breaker.state, breaker.wait_ms(300)]).toEqual(["closed", 500]);
  breaker.begin();
  breaker.failed("transient", "lost", 1_000);
  expect([breaker.state, breaker.why]).toEqual(["open", "transient: lost"]);
  breaker.begin();
  breaker.worked();
  expect([breaker.state, breaker.wait_ms(1_001), breaker.why]).toEqual(["closed", 0, undefined]);
});

it("waits longer and longer, but never longer than the table says", () => {
  for (const [kind, { delays_ms }] of Object.entries(TROUBLE)) {
    expect([kind, delays_ms.toSorted((a, b) => a - b)]).toEqual([kind, [...delays_ms]]);
    const breaker = new Breaker();
    for (let now = 0, tries = 0; tries < 50; tries++) {
      breaker.begin();
      breaker.failed(kind as keyof typeof TROUBLE, "why", now);
      const wait = breaker.wait_ms(now)!;
      expect([kind, wait]).toEqual([kind, delays_ms[Math.min(tries, delays_ms.length - 1)]]);
      now += wait;
    }
  }
});
