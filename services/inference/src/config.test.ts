import { describe, expect, test } from "vitest";
import { tenantWeights } from "./config.ts";

describe("TENANT_WEIGHTS", () => {
  test("names tenants and their weights", () => {
    expect([...tenantWeights({ TENANT_WEIGHTS: "acme=3, demo=0.5" })]).toEqual([
      ["acme", 3],
      ["demo", 0.5],
    ]);
    expect(tenantWeights({ TENANT_WEIGHTS: "" }).size).toBe(0);
  });

  test.each(["acme", "acme=0", "acme=-1", "acme=many", "acme=1=2", "ac.me=1", "acme=1,acme=2", "acme=1000"])(
    "%s is refused",
    (TENANT_WEIGHTS) => expect(() => tenantWeights({ TENANT_WEIGHTS })).toThrow(/TENANT_WEIGHTS/),
  );
});
