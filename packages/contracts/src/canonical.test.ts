import canonicalize from "canonicalize";
import { describe, expect, it } from "vitest";
import { canonicalBytes } from "./canonical.ts";

const text = (value: unknown) => Buffer.from(canonicalBytes(value)).toString("utf8");

describe("canonical JSON", () => {
  it("orders keys by UTF-16 code units, numbers among them too (RFC 8785 §3.2.3)", () => {
    expect(text({ "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7 })).toBe(
      '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}',
    );
    expect(text({ "9": 1, "10": 2, "": 3 })).toBe('{"":3,"10":2,"9":1}');
  });

  it("writes numbers as ECMAScript does (RFC 8785 appendix B)", () => {
    expect(text([1e30, 4.5, 2e-3, 1e-27, -0, 5e-324, 1e21])).toBe("[1e+30,4.5,0.002,1e-27,0,5e-324,1e+21]");
  });

  it("keeps an own property named __proto__", () => {
    expect(text(JSON.parse('{"b":1,"__proto__":{"x":1}}'))).toBe('{"__proto__":{"x":1},"b":1}');
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, "\ud800"])("refuses %o, also deep inside", (value) => {
    expect(() => canonicalBytes(value)).toThrow();
    expect(() => canonicalBytes({ deep: [{ value }] })).toThrow();
  });

  it("writes what the library writes, whatever the value", () => {
    const words = ["id", "a", "B", "toString", "__proto__", "1", "", "é", "nested", "state"];
    for (let seed = 1; seed <= 500; seed++) {
      let state = seed;
      const pick = (n: number) => {
        state = (state * 48_271) % 2_147_483_647;
        return state % n;
      };
      const make = (depth: number): unknown => {
        switch (pick(depth > 3 ? 5 : 7)) {
          case 0:
            return pick(1_000) / 7;
          case 1:
            return words[pick(words.length)]!.repeat(pick(3));
          case 2:
            return pick(2) === 0;
          case 3:
            return null;
          case 4:
            return new Date(pick(1_000_000));
          case 5:
            return Array.from({ length: pick(4) }, () => make(depth + 1));
          default:
            return Object.fromEntries(
              Array.from({ length: pick(6) }, () => [words[pick(words.length)], make(depth + 1)]),
            );
        }
      };
      const value = make(0);
      expect(text(value), `seed ${seed}`).toBe(canonicalize(value));
    }
  });

  it("drops properties that are undefined, and changes nothing of what it was given", () => {
    const given = { b: undefined, a: { d: 1, c: [{ z: 1, y: 2 }] } };
    expect(text(given)).toBe('{"a":{"c":[{"y":2,"z":1}],"d":1}}');
    expect(Object.keys(given)).toEqual(["b", "a"]);
    expect(Object.keys(given.a)).toEqual(["d", "c"]);
  });

  it("goes as deep as memory lasts", () => {
    let deep: unknown = 1;
    for (let depth = 0; depth < 20_000; depth++) deep = [deep];
    expect(text(deep)).toHaveLength(40_001);
  });

  it("refuses what is not JSON at all", () => {
    expect(() => canonicalBytes(undefined)).toThrow(TypeError);
  });
});
