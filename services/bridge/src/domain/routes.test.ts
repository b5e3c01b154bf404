import { expect, it } from "vitest";
import { parseRoutes } from "./routes.ts";

it("takes routes with any part left open", () => {
  const routes = [
    { name: "all", topic: "predictions" },
    { name: "dead", state: "dead", tenant: "acme", topic: "alerts" },
  ];
  expect(parseRoutes({ routes })).toEqual({ ok: true, routes });
});

it("names every mistake", () => {
  const result = parseRoutes({
    routes: [
      { name: "a.b", topic: "" },
      { name: "ok", topic: "t", state: "maybe" },
    ],
  });
  expect(result.ok).toBe(false);
  if (result.ok) return;
  expect(result.mistakes.join("\n")).toMatch(/\/routes\/0\/name/);
  expect(result.mistakes.join("\n")).toMatch(/\/routes\/0\/topic/);
  expect(result.mistakes.join("\n")).toMatch(/\/routes\/1\/state/);
});

it("refuses two routes of one name, which would share a durable", () => {
  const routes = [
    { name: "a", topic: "x" },
    { name: "a", topic: "y" },
  ];
  expect(parseRoutes({ routes })).toMatchObject({ ok: false });
});
