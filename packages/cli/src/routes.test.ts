import { problem, type Route } from "@millrace/contracts";
import { expect, test } from "vitest";
import { type Answer, type Asked, millrace, startApi } from "./testing/api.ts";

const ROUTES = "/v1/acme/plant/routes";
const alerts: Route = {
  name: "alerts",
  tenant: "acme",
  project: "plant",
  queue: "operations",
  when: { output: "risk", op: ">", value: 0.9 },
};

async function against(answer: (asked: Asked) => Answer, args: string[], world: Parameters<typeof millrace>[1] = {}) {
  await using api = await startApi(answer);
  const env = { MILLRACE_URL: api.url, MILLRACE_TOKEN: "t", MILLRACE_TENANT: "acme", MILLRACE_PROJECT: "plant" };
  return { ...(await millrace(args, { env, ...world })), asked: api.asked };
}

test("lists routes with where they lead and when", async () => {
  const { out, asked } = await against(() => ({ json: { routes: [alerts] } }), ["routes", "list"]);
  expect(asked).toMatchObject([{ method: "GET", path: ROUTES }]);
  expect(out).toMatch(/alerts +queue operations +any +any +risk > 0\.9 +outcome/);
  const none = await against(() => ({ json: { routes: [] } }), ["routes", "list"]);
  expect(none.out).toBe("The project has no routes.\n");
  const lines = await against(() => ({ json: { routes: [alerts] } }), ["routes", "list", "--json"]);
  expect(JSON.parse(lines.out)).toEqual(alerts);
});

test("puts a route under its name, for the project of the connection", async () => {
  const { tenant, project, ...given } = alerts;
  const put = await against(() => ({ json: alerts }), ["routes", "put", "-"], { stdin: JSON.stringify(given) });
  expect(put.asked).toEqual([expect.objectContaining({ method: "PUT", path: `${ROUTES}/alerts`, body: alerts })]);
  const other = { ...given, tenant: "rival" };
  const refused = await against(
    () => problem("malformed-body", "the route's tenant is …", "/tenant"),
    ["routes", "put", "-"],
    {
      stdin: JSON.stringify(other),
    },
  );
  expect(refused.asked[0]!.body).toMatchObject({ tenant: "rival", project }); // said, and for the server to refuse
  expect([refused.code, tenant]).toEqual([1, "acme"]);
});

test("shows and deletes one; a name or file that cannot be is not asked for", async () => {
  const shown = await against(() => ({ json: alerts }), ["routes", "show", "alerts"]);
  expect(JSON.parse(shown.out)).toEqual(alerts);
  const deleted = await against(() => ({ json: alerts }), ["routes", "delete", "alerts"]);
  expect(deleted.asked).toMatchObject([{ method: "DELETE", path: `${ROUTES}/alerts` }]);
  expect(deleted.out).toBe("The route alerts has ended.\n");
  for (const args of [
    ["delete", "a.b"],
    ["show", "../x"],
    ["put", "no-such-file.json"],
  ]) {
    const wrong = await against(() => ({ json: {} }), ["routes", ...args]);
    expect([wrong.code, wrong.asked]).toEqual([2, []]);
  }
  const nameless = await against(() => ({ json: {} }), ["routes", "put", "-"], { stdin: "{}" });
  expect([nameless.code, nameless.asked]).toEqual([2, []]);
});
