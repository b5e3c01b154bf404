import type { Route } from "@millrace/contracts";
import { expect, it } from "vitest";
import { bucketMistake, inForce, parseRoutesFile } from "./routes.ts";

it("takes routes with any part left open", () => {
  const routes = [
    { name: "all", topic: "predictions" },
    { name: "dead", state: "dead", tenant: "acme", queue: "alerts" },
    {
      name: "hot",
      topic: "alerts",
      when: { output: "risk", op: ">", value: 0.9 },
      message: { per: "row", session_id: "{parameters.sensor}", subject: "{model} {row}" },
    },
  ];
  expect(parseRoutesFile({ routes })).toEqual({ ok: true, file: { routes } });
});

it("names every mistake", () => {
  const form = parseRoutesFile({
    routes: [
      { name: "a.b", topic: "" },
      { name: "ok", topic: "t", state: "maybe" },
    ],
  });
  expect(form.ok || form.mistakes.join("\n")).toMatch(
    /\/routes\/0\/name[\s\S]*\/routes\/0\/topic[\s\S]*\/routes\/1\/state/,
  );
  const sense = parseRoutesFile({
    routes: [
      { name: "both", topic: "a", queue: "b" },
      { name: "neither" },
      { name: "text", topic: "t", message: { subject: "{nothing}", session_id: "a", partition_key: "b" } },
    ],
  });
  expect(sense.ok || sense.mistakes).toEqual([
    expect.stringMatching(/^\/routes\/0 .*exactly one/),
    expect.stringMatching(/^\/routes\/1 .*exactly one/),
    expect.stringMatching(/^\/routes\/2\/message\/subject .*\{nothing\}/),
    expect.stringMatching(/^\/routes\/2\/message\/partition_key /),
  ]);
});

it("refuses two routes of one name, which would share a durable", () => {
  const routes = [
    { name: "a", topic: "x" },
    { name: "a", topic: "y" },
  ];
  expect(parseRoutesFile({ routes })).toMatchObject({ ok: false });
});

it("puts the bucket's route before the file's, unless that would end what others get", () => {
  const all: Route = { name: "a", topic: "x" };
  const acme: Route = { name: "a", topic: "y", tenant: "acme", project: "plant" };
  const changed: Route = { ...acme, topic: "z" };
  expect(inForce(undefined, undefined)).toEqual({});
  expect(inForce(all, undefined)).toEqual({ route: all });
  expect(inForce(undefined, acme)).toEqual({ route: acme });
  expect(inForce(acme, changed)).toEqual({ route: changed });
  expect(inForce(all, { ...all, topic: "z" })).toEqual({ route: { ...all, topic: "z" } });
  expect(inForce(all, acme)).toMatchObject({ route: all, refused: expect.stringContaining("not of the same project") });
});

it("takes no route of the bucket under another key", () => {
  expect(bucketMistake("a", { name: "a", topic: "x" })).toBeUndefined();
  expect(bucketMistake("b", { name: "a", topic: "x" })).toContain('"a"');
  expect(bucketMistake("a", { name: "a" })).toContain("exactly one");
});

it("takes a route of the bucket to what the file names, where it names entities", () => {
  const file = { entities: [{ queue: "Alerts" }, { topic: "news" }], routes: [{ name: "all", topic: "predictions" }] };
  const to = (entity: object) => bucketMistake("a", { name: "a", ...entity }, file);
  expect(to({ queue: "alerts" })).toBeUndefined();
  expect(to({ topic: "predictions" })).toBeUndefined();
  expect(to({ topic: "of-others" })).toContain('"of-others"');
  expect(bucketMistake("a", { name: "a", topic: "of-others" }, { routes: file.routes })).toBeUndefined();
});
