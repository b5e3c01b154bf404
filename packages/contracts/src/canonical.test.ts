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

  it("refuses what is not JSON at all", () => {
    expect(() => canonicalBytes(undefined)).toThrow(TypeError);
  });
});
