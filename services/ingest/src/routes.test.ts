import { openTable } from "@millrace/bus";
import { type ProblemDocument, Route, type RouteList } from "@millrace/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, type Ingest, json, startIngest } from "./testing/ingest.ts";

const stack = new AsyncDisposableStack();
let ingest: Ingest;

beforeAll(async () => {
  ingest = stack.use(await startIngest());
});
afterAll(() => stack.disposeAsync());

const ROUTES = "/v1/acme/plant/routes";
const route = (name: string, over: Partial<Route> = {}): Route => ({
  name,
  tenant: "acme",
  project: "plant",
  topic: "predictions",
  ...over,
});
const put = (of: unknown, name: string, path = ROUTES) =>
  ingest.call(`${path}/${name}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(of),
  });
const list = async () => (await json<RouteList>(ingest.call(ROUTES))).routes.map(({ name }) => name);

test("a route is put, changed, shown, listed and deleted, and whoever follows the bucket sees it", async () => {
  using seen = await openTable(ingest.operator, "routes", Route);
  const first = route("alerts", { when: { output: "risk", op: ">", value: 0.5 } });
  expect(await json(put(first, "alerts"))).toEqual(first);
  await eventually("the route in the bucket", async () => seen.get("alerts"));
  const changed = route("alerts", { message: { session_id: "{parameters.sensor}" } });
  expect((await put(changed, "alerts")).status).toBe(200);
  expect(await json(ingest.call(`${ROUTES}/alerts`))).toEqual(changed);
  await eventually("the list", async () => (await list()).includes("alerts") || undefined);
  expect(await json(ingest.call(`${ROUTES}/alerts`, { method: "DELETE" }))).toEqual(changed);
  expect((await ingest.call(`${ROUTES}/alerts`)).status).toBe(404);
  expect((await ingest.call(`${ROUTES}/alerts`, { method: "DELETE" })).status).toBe(404);
  await eventually("the end", async () => !(await list()).includes("alerts") || undefined);
  expect((await put(first, "alerts")).status).toBe(200); // again, over its deletion
  await ingest.call(`${ROUTES}/alerts`, { method: "DELETE" });
});

test("what a route says has to fit the path, the schema and Service Bus", async () => {
  const wrong: [unknown, string][] = [
    [route("other"), "/name"],
    [{ name: "a", topic: "t" }, "/tenant"],
    [route("a", { tenant: "rival" }), "/tenant"],
    [route("a", { project: "other" }), "/project"],
    [{ ...route("a"), queue: "q" }, "/"],
    [route("a", { message: { session_id: "{sensor}" } }), "/message/session_id"],
    [route("a", { message: { session_id: "{row}" } }), "/message/session_id"],
    [route("a", { message: { session_id: "x", partition_key: "y" } }), "/message/partition_key"],
    [route("a", { message: { properties: { tenant: "x" } } }), "/message/properties/tenant"],
    [route("a", { state: "dead", when: { output: "risk", op: ">", value: 1 } }), "/state"],
  ];
  for (const [body, at] of wrong) {
    const answer = await put(body, "a");
    const problem = (await answer.json()) as ProblemDocument;
    expect([problem.code, problem.at]).toEqual(["malformed-body", at]);
  }
});

test("a project sees, changes and takes no route of another", async () => {
  using all = await openTable(ingest.operator, "routes", Route);
  await all.put("foreign", route("foreign", { tenant: "rival" }));
  await all.put("everything", { name: "everything", topic: "predictions" });
  for (const name of ["foreign", "everything"]) {
    expect((await ingest.call(`${ROUTES}/${name}`)).status).toBe(404);
    expect((await ingest.call(`${ROUTES}/${name}`, { method: "DELETE" })).status).toBe(404);
    const taken = await put(route(name), name);
    expect(((await taken.json()) as ProblemDocument).code).toBe("route-name-taken");
  }
  expect(await list()).toEqual([]);
  const rival = await put(route("b", { tenant: "rival" }), "b", "/v1/rival/plant/routes");
  expect(rival.status).toBe(403);
});
