import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type CheckReport, type DeadLetter, encodeRequest } from "@millrace/contracts";
import { describe, expect, test } from "vitest";
import { type Answer, type Asked, millrace, startApi } from "./testing/api.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;
const PROJECT = "/v1/acme/plant";

const deadLetter = (id: string, over: Partial<DeadLetter> = {}): DeadLetter => ({
  sequence: 7,
  state: "open",
  outcome: {
    id,
    attempt: 1,
    tenant: "acme",
    project: "plant",
    state: "dead",
    model: { name: "pump" },
    reason: {
      code: "model-failed",
      title: "The model failed on this input",
      detail: "a\u001b[31m value",
      fix: "Look.",
    },
    deliveries: 1,
    completed_at: "2026-11-21T12:00:00.000Z",
    request: {
      digest: DIGEST,
      stream: "REQUESTS_TENSOR",
      sequence: 3,
      subject: `req.tensor.normal.acme.plant.pump.${id}`,
      accepted_at: "2026-11-21T11:59:59.000Z",
      correlation_id: "order-7",
    },
    payload: { size_bytes: 12 },
  },
  ...over,
});

const report = (over: Partial<CheckReport> = {}): CheckReport => ({
  balanced: true,
  at: "2026-11-21T12:00:00.000Z",
  duration_ms: 12,
  ids: { accepted: 3, done: 2, dead: 1, pending: 0, lost: 0 },
  dead_letters: { open: 1, redriven: 0, discarded: 0 },
  streams: [{ name: "OUTCOMES", messages: 3, first_sequence: 1, last_sequence: 3, retired: 0, gaps: 0 }],
  consumers: [
    {
      stream: "OUTCOMES",
      name: "bridge-route",
      pending: 0,
      ack_pending: 0,
      redelivered: 0,
      acknowledged_sequence: 3,
      standing: false,
    },
  ],
  effects: [{ consumer: "bridge-route", outcomes: 3 }],
  findings: [],
  findings_total: 0,
  ...over,
});

/** Runs a command line against a server that answers so. */
async function against(answer: (asked: Asked) => Answer, args: string[], world: Parameters<typeof millrace>[1] = {}) {
  await using api = await startApi(answer);
  const env = { MILLRACE_URL: api.url, MILLRACE_TOKEN: "t", MILLRACE_TENANT: "acme", MILLRACE_PROJECT: "plant" };
  return { ...(await millrace(args, { env, ...world })), asked: api.asked };
}

describe("check", () => {
  test("prints the books, and ends with 0 when they balance", async () => {
    const { code, out, asked } = await against(() => ({ json: report() }), ["check"]);
    expect(code).toBe(0);
    expect(asked).toMatchObject([{ method: "GET", path: "/v1/check" }]);
    expect(out).toContain("The books balance.");
    expect(out).toContain("accepted 3 = done 2 + dead 1 + pending 0; lost 0");
    expect(out).toMatch(/OUTCOMES +3 +1 +3 +0 +0/);
  });

  test("names what is wrong, and ends with 1 when they do not, also as JSON", async () => {
    const wrong = report({
      balanced: false,
      findings: [{ kind: "lost-request", name: "pump/id-9", detail: "no consumer holds it" }],
      findings_total: 5,
    });
    const { code, out } = await against(() => ({ json: wrong }), ["check"]);
    expect(code).toBe(1);
    expect(out).toContain("The books do not balance.");
    expect(out).toMatch(/lost-request +pump\/id-9 +no consumer holds it\nand 4 more/);
    const asJson = await against(() => ({ json: wrong }), ["check", "--json"]);
    expect(asJson.code).toBe(1);
    expect(JSON.parse(asJson.out)).toEqual(wrong);
  });
});

describe("dead list", () => {
  const paged = ({ query }: Asked): Answer => {
    const after = Number(query.after);
    const page = { 0: ["a", "b"], 2: [], 9: ["c"] }[after] ?? [];
    const next = { 0: 2, 2: 9 }[after];
    return { json: { dead_letters: page.map((id) => deadLetter(id)), ...(next === undefined ? {} : { next }) } };
  };

  test("follows pages, also empty ones, and prints no control characters", async () => {
    const { out, error, asked } = await against(paged, ["dead", "list", "--code", "model-failed", "--model", "pump"]);
    expect(out.match(/pump\/[abc] /g)).toEqual(["pump/a ", "pump/b ", "pump/c "]);
    expect(out).not.toContain("\u001b");
    expect(error).toBe("");
    expect(asked.map(({ path, query }) => [path, query.after])).toEqual(
      [0, 2, 9].map((after) => [`${PROJECT}/dead-letters`, String(after)]),
    );
    expect(asked[0]!.query).toMatchObject({ state: "open", code: "model-failed", model: "pump", limit: "100" });
  });

  test("stops at the limit and says that there may be more; as JSON it is a line each", async () => {
    const limited = await against(paged, ["dead", "list", "--limit", "2"]);
    expect(limited.asked).toHaveLength(1);
    expect(limited.error).toContain("There may be more than these 2");
    const lines = (await against(paged, ["dead", "list", "--all", "--json"])).out.trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as DeadLetter).outcome.id)).toEqual(["a", "b", "c"]);
  });

  test("of nothing says so", async () => {
    const { out, code } = await against(() => ({ json: { dead_letters: [] } }), ["dead", "list", "--state", "all"]);
    expect([out, code]).toEqual(["No dead letters match.\n", 0]);
  });
});

describe("dead show and payload", () => {
  test("show says why it died, where its payload is, and what was decided", async () => {
    const decided = deadLetter("a", {
      state: "discarded",
      decision: {
        decision: "discarded",
        tenant: "acme",
        project: "plant",
        model: "pump",
        id: "a",
        attempt: 1,
        dead_letter_sequence: 7,
        principal: "alice",
        at: "2026-11-21T13:00:00.000Z",
        reason: "known",
      },
    });
    const { out, asked } = await against(() => ({ json: decided }), ["dead", "show", "pump/a"]);
    expect(asked[0]!.path).toBe(`${PROJECT}/models/pump/dead-letters/a`);
    for (const said of ["model-failed", "what to do", "Look.", "REQUESTS_TENSOR 3", "by alice", "known"])
      expect(out).toContain(said);
    expect(out).not.toContain("\u001b");
    const { code, error } = await against(
      () => ({ problem: { code: "unknown-dead-letter", detail: "a is none" } }),
      ["dead", "show", "pump/a"],
    );
    expect(code).toBe(1);
    expect(error).toBe(
      "millrace: No such dead letter is known (unknown-dead-letter)\n  why:        a is none\n  what to do: Check the id; list the dead letters of the project.\n",
    );
  });

  test("payload writes the bytes as they are, or as JSON that can be edited", async () => {
    const stored = encodeRequest(
      {
        inputs: [{ name: "reading", datatype: "FP32", shape: [1, 3], data: Float32Array.of(1, 2, 3) }],
        binaryOutput: false,
      },
      "binary",
    );
    const binary = () => ({
      bytes: stored.bytes,
      headers: { "inference-header-content-length": String(stored.headerLength) },
    });
    const raw = await against(binary, ["dead", "payload", "pump/a"]);
    expect(raw.bytes.equals(stored.bytes)).toBe(true);
    const edited = await against(binary, ["dead", "payload", "pump/a", "--as-json"]);
    expect(JSON.parse(edited.out)).toEqual({
      inputs: [{ name: "reading", datatype: "FP32", shape: [1, 3], data: [1, 2, 3] }],
    });
    expect((await against(binary, ["dead", "payload", "pump/a"], { isTerminal: true })).code).toBe(2);
    const garbage = await against(() => ({ bytes: Buffer.of(255, 0) }), ["dead", "payload", "pump/a", "--as-json"]);
    expect(garbage).toMatchObject({ code: 1, error: expect.stringContaining("not a request") });

    const directory = await mkdtemp(path.join(tmpdir(), "millrace-cli-"));
    await against(binary, ["dead", "payload", "pump/a", "--output", "p"], { cwd: directory });
    expect((await readFile(path.join(directory, "p"))).equals(stored.bytes)).toBe(true);
    await rm(directory, { recursive: true });
  });
});

describe("dead redrive and discard", () => {
  const result = (id: string, over: object = {}) => ({
    id,
    model: "pump",
    attempt: 1,
    dead_letter_sequence: 7,
    result: "redriven",
    request_sequence: 12,
    ...over,
  });

  test("one is redriven with a payload from standard input or a file", async () => {
    const payload = { inputs: [] };
    const args = ["dead", "redrive", "pump/a", "--reason", "mended", "--sequence", "7", "--priority", "low"];
    const { out, code, asked } = await against(() => ({ json: result("a") }), [...args, "--edit", "-"], {
      stdin: JSON.stringify(payload),
    });
    expect(code).toBe(0);
    expect(asked).toMatchObject([
      {
        method: "POST",
        path: `${PROJECT}/models/pump/dead-letters/a/redrive`,
        body: { reason: "mended", sequence: 7, priority: "low", payload },
      },
    ]);
    expect(out).toMatch(/pump\/a +1 +redriven +request at 12/);

    const directory = await mkdtemp(path.join(tmpdir(), "millrace-cli-"));
    await writeFile(path.join(directory, "p.json"), JSON.stringify(payload));
    const filed = await against(() => ({ json: result("a") }), ["dead", "redrive", "pump/a", "--edit", "p.json"], {
      cwd: directory,
    });
    expect(filed.asked[0]!.body).toEqual({ payload });
    await rm(directory, { recursive: true });
  });

  test("one that is refused ends with 1, and what happened, why, and what to do", async () => {
    const refused = () => ({ problem: { code: "dead-letter-decided", detail: "a was discarded" } }) as const;
    const { code, error, out } = await against(refused, ["dead", "redrive", "pump/a"]);
    expect([code, out]).toEqual([1, ""]);
    expect(error).toMatch(/dead-letter-decided\)\n {2}why: +a was discarded\n {2}what to do: Look/);
    const asJson = await against(refused, ["dead", "redrive", "pump/a", "--json"]);
    expect(JSON.parse(asJson.error)).toMatchObject({ code: "dead-letter-decided", status: 409 });
  });

  test("of several that are named, one that is refused does not stop the others", async () => {
    const answer = ({ path }: Asked): Answer =>
      path.includes("/b/")
        ? { problem: { code: "payload-gone", detail: "it is not there" } }
        : { json: result(path.includes("/a/") ? "a" : "c") };
    const { code, out } = await against(answer, ["dead", "redrive", "pump/a", "pump/b", "pump/c"]);
    expect(code).toBe(1);
    expect(out).toMatch(/pump\/a .*redriven.*pump\/b .*refused +payload-gone: it is not there.*pump\/c .*redriven/s);
  });

  test("those that filters match are decided call by call, until none is left or the limit is reached", async () => {
    const answer = ({ body }: Asked): Answer => {
      const { after, limit } = body as { after: number; limit: number };
      const results = Array.from({ length: Math.min(limit, 2) }, (_, i) => result(`r${after + i}`));
      return { json: { matched: results.length, results, more: after < 4, ...(after < 4 ? { next: after + 2 } : {}) } };
    };
    const all = await against(answer, [
      "dead",
      "discard",
      "--all",
      "--reason",
      "old",
      "--code",
      "model-failed",
      "--json",
    ]);
    expect(all.asked.map(({ path, body }) => [path, body])).toEqual(
      [0, 2, 4].map((after) => [
        `${PROJECT}/dead-letters/discard`,
        { filter: { code: "model-failed" }, reason: "old", after, limit: 1_000 },
      ]),
    );
    expect(all.out.trim().split("\n")).toHaveLength(6);
    const some = await against(answer, ["dead", "redrive", "--limit", "3", "--dry-run"]);
    expect(some.asked.map(({ body }) => body)).toEqual([
      { filter: {}, dry_run: true, after: 0, limit: 3 },
      { filter: {}, dry_run: true, after: 2, limit: 1 },
    ]);
  });

  test("what was decided before the server went away is printed", async () => {
    const answer = ({ body }: Asked): Answer =>
      (body as { after: number }).after === 0
        ? { json: { matched: 1, results: [result("a")], more: true, next: 5 } }
        : { problem: { code: "unavailable", detail: "the broker is away" } };
    const { code, out, error } = await against(answer, ["dead", "redrive", "--all"]);
    expect(code).toBe(3);
    expect(out).toContain("pump/a");
    expect(error).toContain("the broker is away");
  });

  test.each<[string, string[], string]>([
    ["nothing says which", ["dead", "redrive"], "Nothing says which"],
    ["a name is none", ["dead", "redrive", "a"], '"a" does not name'],
    ["names and filters are given", ["dead", "redrive", "pump/a", "--code", "x"], "named already"],
    ["a discard has no reason", ["dead", "discard", "pump/a"], "--reason"],
    ["many would run one payload", ["dead", "redrive", "--all", "--edit", "-"], "exactly one"],
    ["the payload is not JSON", ["dead", "redrive", "pump/a", "--edit", "-"], "not JSON"],
    ["the payload is not there", ["dead", "redrive", "pump/a", "--edit", "none.json"], "cannot be read"],
    ["the limit is no number", ["dead", "list", "--limit", "many"], "whole number"],
    ["the command is unknown", ["dead", "reddrive"], "Did you mean redrive"],
    ["no command is given", [], "Usage: millrace"],
  ])("when %s, it ends with 2 and asks nothing", async (_, args, said) => {
    const { code, error, asked } = await against(() => ({ json: {} }), args);
    expect(error).toContain(said);
    expect(code).toBe(2);
    expect(asked).toEqual([]);
  });

  test("help ends with 0 and names the exit codes", async () => {
    const { code, out } = await millrace(["--help"]);
    expect(code).toBe(0);
    expect(out).toContain("Exit codes");
  });
});
