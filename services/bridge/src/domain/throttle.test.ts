import { expect, it } from "vitest";
import { Throttle } from "./throttle.ts";

it("holds nothing back until the namespace is busy", () => {
  const throttle = new Throttle();
  for (let now = 0; now < 10_000; now += 10) {
    expect(throttle.wait_ms(256, now)).toBe(0);
    throttle.sent(256, now);
  }
});

it("finds the rate that the namespace allows, and forgets it when there is no throttling any more", () => {
  const throttle = new Throttle();
  const allowed = 500; // messages per second; above it the namespace is busy
  let now = 0;
  let second = { began: 0, sent: 0 };
  const rates: number[] = [];
  let busy = 0;
  for (; now < 60_000; ) {
    const wait = throttle.wait_ms(50, now);
    if (wait > 0) {
      now += wait;
      continue;
    }
    if (now - second.began >= 1_000) {
      rates.push(second.sent);
      second = { began: now, sent: 0 };
    }
    throttle.sent(50, now);
    second.sent += 50;
    if (second.sent > allowed) {
      throttle.busy(now);
      busy++;
    }
    now += 5;
  }
  const settled = rates.slice(20);
  const mean = settled.reduce((sum, rate) => sum + rate, 0) / settled.length;
  expect(mean).toBeGreaterThan(allowed * 0.5);
  expect(mean).toBeLessThan(allowed * 1.2);
  expect(busy).toBeLessThan(30); // not once a send
  now += 61_000;
  expect(throttle.wait_ms(10_000, now)).toBe(0);
});

it("halves once for sends that were under way together, and never stops altogether", () => {
  const throttle = new Throttle();
  throttle.sent(1_000, 0);
  for (let n = 0; n < 8; n++) throttle.busy(100 + n);
  expect(throttle.rate).toBeCloseTo(500, -1);
  for (let n = 1; n < 50; n++) throttle.busy(n * 2_000);
  expect(throttle.rate).toBeGreaterThanOrEqual(20);
});
