import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { type Asked, millrace, startApi } from "./testing/api.ts";

const EMPTY = { json: { dead_letters: [] } };

async function folder() {
  const directory = await mkdtemp(path.join(tmpdir(), "millrace-cli-"));
  return { directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}
async function running(directory: string, http: string) {
  const data = path.join(directory, ".millrace");
  await mkdir(data, { recursive: true });
  await writeFile(
    path.join(data, "run.json"),
    JSON.stringify({ http, token: "token-of-run", tenant: "demo", project: "plant-a" }),
  );
  return data;
}
const last = (api: { asked: Asked[] }) => api.asked.at(-1)!;

test("flags go before the environment, and that before run.json", async () => {
  await using api = await startApi(() => EMPTY);
  await using run = await folder();
  const data = await running(run.directory, api.url);
  const env = { MILLRACE_TOKEN: "token-of-env", MILLRACE_TENANT: "acme" };

  await millrace(["dead", "list"], { cwd: run.directory });
  expect(last(api)).toMatchObject({ path: "/v1/demo/plant-a/dead-letters", token: "Bearer token-of-run" });
  await millrace(["dead", "list"], { cwd: run.directory, env });
  expect(last(api)).toMatchObject({ path: "/v1/acme/plant-a/dead-letters", token: "Bearer token-of-env" });
  await millrace(["dead", "list", "--tenant", "beta", "--data", data, "--token", "flag"], { env });
  expect(last(api)).toMatchObject({ path: "/v1/beta/plant-a/dead-letters", token: "Bearer flag" });
  await writeFile(path.join(run.directory, "secret"), "from-a-file\n");
  await millrace(["--token-file", "secret", "dead", "list"], { cwd: run.directory });
  expect(last(api).token).toBe("Bearer from-a-file");
});

test("the token of run.json is not sent to another server", async () => {
  await using api = await startApi(() => EMPTY);
  await using run = await folder();
  await running(run.directory, "http://127.0.0.1:1");
  const { code, error } = await millrace(["dead", "list", "--url", api.url], { cwd: run.directory });
  expect(code).toBe(2);
  expect(error).toContain("There is no token");
  expect(api.asked).toEqual([]);
});

test("no output ever holds the token", async () => {
  await using api = await startApi(() => ({ problem: { code: "unauthenticated", detail: "the token is not known" } }));
  const env = { MILLRACE_URL: api.url, MILLRACE_TOKEN: "s3cret", MILLRACE_TENANT: "a", MILLRACE_PROJECT: "b" };
  for (const args of [["check"], ["dead", "list"], ["dead", "list", "--json"], ["--help"], ["dead", "nothing"]]) {
    const { out, error } = await millrace(args, { env });
    expect(out + error).not.toContain("s3cret");
  }
});

test.each<[string, string[], Record<string, string>, string]>([
  ["nothing runs and nothing is named", ["check"], {}, "No Millrace runs here"],
  ["the data directory has no run.json", ["check", "--data", "elsewhere"], {}, "elsewhere"],
  ["the address is none", ["check", "--url", "localhost:8080", "--token", "t"], {}, "not the address"],
  ["no token is given", ["check", "--url", "http://127.0.0.1:1"], {}, "There is no token"],
  ["the token file is not there", ["check", "--url", "http://127.0.0.1:1", "--token-file", "none"], {}, "token file"],
  [
    "no project is given",
    ["dead", "list", "--url", "http://127.0.0.1:1", "--token", "t"],
    {},
    "--tenant and --project",
  ],
  [
    "the tenant is no name",
    ["dead", "list", "--tenant", "a/b", "--project", "c"],
    { MILLRACE_URL: "http://127.0.0.1:1", MILLRACE_TOKEN: "t" },
    '"a/b" cannot be a tenant',
  ],
])("when %s, the command ends with 2 and says so", async (_, args, env, said) => {
  const { code, error } = await millrace(args, { env });
  expect(error).toContain(said);
  expect(code).toBe(2);
});

test("a server that is away, or that cannot answer now, ends a command with 3", async () => {
  const env = { MILLRACE_TOKEN: "t" };
  const away = await millrace(["check", "--url", "http://127.0.0.1:1"], { env });
  expect(away.code).toBe(3);
  expect(away.error).toMatch(/cannot be reached\n {2}why: .+\n {2}what to do: /);

  await using busy = await startApi(() => ({ problem: { code: "unavailable", detail: "the keeper does not answer" } }));
  expect((await millrace(["check", "--url", busy.url], { env })).code).toBe(3);
  await using other = await startApi(() => ({ text: "<html>", status: 200 }));
  expect(await millrace(["check", "--url", other.url], { env })).toMatchObject({
    code: 1,
    error: expect.stringContaining("not as Millrace does"),
  });
});
