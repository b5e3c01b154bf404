import { expect, it } from "vitest";
import { childTraceparent, traceId } from "./trace.ts";

it("continues a valid trace with a new span", () => {
  const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
  const child = childTraceparent(parent);
  expect(traceId(child)).toBe("0af7651916cd43dd8448eb211c80319c");
  expect(child).not.toBe(parent);
  expect(child.endsWith("-00")).toBe(true);
});

it("starts a new trace when the header is absent or invalid", () => {
  for (const bad of [undefined, "", "00-xyz", `00-${"0".repeat(32)}-b7ad6b7169203331-01`])
    expect(childTraceparent(bad)).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});
