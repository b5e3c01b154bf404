import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { openAdministration } from "@millrace/azure";
import { type Broker, type BrokerConfig, start } from "@millrace/servicebus";
import { expect, test } from "vitest";
import { run } from "./run.ts";
import { millrace, startApi } from "./testing/api.ts";

type Namespace = BrokerConfig["UserConfig"]["Namespaces"][number];

const ROUTES = `
routes:
  - { name: predictions, topic: predictions }
  - { name: per-sensor, queue: readings, message: { session_id: "{parameters.sensor}" } }
entities:
  - topic: predictions
    subscriptions:
      - { name: enterprise }
      - name: alerts
        rules: [{ name: dead, sql: "state = 'dead'" }, { name: pump, sql: "model = 'pump'" }]
`;

/** A local Service Bus, and a directory in which a Millrace seems to run that uses it. */
async function open(namespace: Namespace = {}) {
  const broker = await start({ port: 0, host: "127.0.0.1", config: { UserConfig: { Namespaces: [namespace] } } });
  const cwd = await mkdtemp(path.join(tmpdir(), "millrace-azure-"));
  await mkdir(path.join(cwd, ".millrace"));
  const certificateFile = path.join(cwd, "certificate.pem");
  await writeFile(certificateFile, broker.certificate);
  const serviceBus = { connectionString: broker.connectionString, certificateFile };
  await writeFile(path.join(cwd, ".millrace/run.json"), JSON.stringify({ serviceBus }));
  await writeFile(path.join(cwd, "routes.yaml"), ROUTES);
  const azure = (args: string[], world: { answer?: string; env?: Record<string, string> } = {}) =>
    millrace(["azure", ...args, "--routes", "routes.yaml"], { cwd, ...world });
  return {
    broker,
    cwd,
    azure,
    routes: (content: string) => writeFile(path.join(cwd, "routes.yaml"), content),
    async [Symbol.asyncDispose]() {
      await broker.close();
      await rm(cwd, { recursive: true });
    },
  };
}

test("the configuration of Microsoft's emulator asks no namespace; what it narrows is said beside it", async () => {
  const cwd = await mkdtemp(path.join(tmpdir(), "millrace-emulator-"));
  try {
    await writeFile(path.join(cwd, "routes.yaml"), ROUTES);
    const { code, out, error } = await millrace(["azure", "emulator-config", "--routes", "routes.yaml"], { cwd });
    expect(code).toBe(0);
    expect(error).toContain("topic predictions: a repeat is recognised for 300 s, not 600");
    const config = JSON.parse(out) as BrokerConfig; // the local Service Bus takes the same file
    await using broker = await start({ port: 0, host: "127.0.0.1", config });
    expect(broker.inspect("predictions/Subscriptions/alerts")).toMatchObject({ active: 0 });
    const names = Array.from({ length: 51 }, (_, index) => `{ name: r${index}, queue: q${index} }`);
    await writeFile(path.join(cwd, "routes.yaml"), `routes: [${names.join(", ")}]`);
    const refused = await millrace(["azure", "emulator-config", "--routes", "routes.yaml"], { cwd });
    expect(refused).toMatchObject({
      code: 2,
      out: "",
      error: expect.stringContaining("51, and the emulator takes 50"),
    });
  } finally {
    await rm(cwd, { recursive: true });
  }
});

test("plan for Bicep asks no namespace: what the file needs, as deploy/bicep reads it", async () => {
  const cwd = await mkdtemp(path.join(tmpdir(), "millrace-bicep-"));
  try {
    await writeFile(path.join(cwd, "routes.yaml"), ROUTES);
    const { code, out, error } = await millrace(["azure", "plan", "--routes", "routes.yaml", "--format", "bicep"], {
      cwd,
    });
    expect({ code, error }).toEqual({ code: 0, error: "" });
    expect(JSON.parse(out)).toMatchObject({
      topics: [
        {
          name: "predictions",
          duplicateDetectionWindow: "PT10M",
          subscriptions: [{ name: "enterprise" }, { name: "alerts", rules: [{ name: "dead" }, { name: "pump" }] }],
        },
      ],
      queues: [{ name: "readings", requiresSession: true, senders: ["bridge"] }],
    });
    for (const [file, said] of [
      ["routes: [{ name: a }]", "neither of topic and queue"],
      ["routes: [{ name: a, topic: plant/news }]", "Bicep cannot name plant/news"],
    ] as const) {
      await writeFile(path.join(cwd, "routes.yaml"), file);
      const wrong = await millrace(["azure", "plan", "--routes", "routes.yaml", "--format", "bicep"], { cwd });
      expect(wrong).toMatchObject({ code: 2, out: "", error: expect.stringContaining(said) });
    }
  } finally {
    await rm(cwd, { recursive: true });
  }
});

const TOPIC = (properties: object, subscriptions: object[] = []): Namespace =>
  ({ Topics: [{ Name: "predictions", Properties: properties, Subscriptions: subscriptions }] }) as Namespace;
const DETECTS = { RequiresDuplicateDetection: true };

test("plan shows what is missing and changes nothing; apply makes it; then there is nothing to do", async () => {
  await using it = await open();
  const plan = await it.azure(["plan"]);
  expect(plan.code).toBe(4);
  expect(plan.out).toContain(`Service Bus 127.0.0.1:${it.broker.port} (.millrace/run.json), against routes.yaml`);
  expect(plan.out).toContain("+ create queue readings");
  expect(plan.out).toContain("rule dead: state = 'dead'");
  expect(plan.out).toContain("5 to create.");
  expect(() => it.broker.inspect("readings")).toThrow();

  const apply = await it.azure(["apply", "--yes"]);
  expect(apply.error).toBe("");
  expect(apply.code).toBe(0);
  expect(apply.out).toContain("done 5/5");
  expect(apply.out).toMatch(/Read again:\n\nNothing to do\.\n$/);
  expect(it.broker.inspect("readings").active).toBe(0);

  const again = await it.azure(["plan", "--json"]);
  expect(again.code).toBe(0);
  expect(JSON.parse(again.out)).toEqual({
    namespace: `127.0.0.1:${it.broker.port}`,
    verdict: "nothing",
    steps: [],
    refusals: [],
    notes: [],
  });
  expect(await it.azure(["apply"])).toMatchObject({ code: 0, out: expect.stringContaining("Nothing to do.") });
});

test("apply asks, and takes nothing but `yes` for a yes; without a terminal it wants --yes", async () => {
  await using it = await open();
  expect(await it.azure(["apply"], { answer: "y" })).toMatchObject({
    code: 1,
    out: expect.stringContaining("Nothing was changed."),
  });
  expect(await it.azure(["apply"])).toMatchObject({ code: 2, error: expect.stringContaining("give --yes") });
  expect(() => it.broker.inspect("readings")).toThrow();
  expect((await it.azure(["apply"], { answer: "yes" })).code).toBe(0);
});

test("a window shorter than the promised outage is refused by plan, and raised by apply", async () => {
  await using it = await open(TOPIC({ ...DETECTS, DuplicateDetectionHistoryTimeWindow: "PT1M" }));
  await it.routes("routes: [{ name: a, topic: predictions, outage_max_s: 3600 }]");
  const plan = await it.azure(["plan"]);
  expect(plan.code).toBe(1);
  expect(plan.out).toContain("duplicate detection, ids kept for: 60 s -> 3600 s");
  expect(plan.out).toContain("NOT KEPT until then: route a promises that an outage of 3600 s");
  expect((await it.azure(["apply", "--yes"])).code).toBe(0);
  expect((await it.azure(["plan"])).code).toBe(0);
});

test("what Azure cannot change is refused with what to do, and then apply does nothing at all", async () => {
  await using it = await open({ ...TOPIC({}), Queues: [{ Name: "readings", Properties: DETECTS }] });
  for (const command of ["plan", "apply"]) {
    const refused = await it.azure([command, ...(command === "apply" ? ["--yes"] : [])]);
    expect(refused.code).toBe(1);
    expect(refused.out).toMatch(/! refused: topic predictions\n +why +duplicate detection is off/);
    expect(refused.out).toMatch(/! refused: queue readings\n +why +it does not require sessions, and should/);
    expect(refused.out).toContain("what to do  Azure cannot");
  }
  expect(() => it.broker.inspect("predictions/Subscriptions/enterprise")).toThrow();
});

test("rules and subscriptions that nobody declared are told and stay", async () => {
  const mine = { Name: "mine", Properties: { SqlFilter: { SqlExpression: "tenant = 'acme'" } } };
  await using it = await open(TOPIC(DETECTS, [{ Name: "alerts", Rules: [mine] }, { Name: "other" }]));
  const plan = await it.azure(["plan"]);
  expect(plan.out).toContain("rule predictions/alerts/mine (tenant = 'acme') is not in the file; it stays");
  expect(plan.out).toContain("has subscriptions that the file does not name; they stay: other");
  expect((await it.azure(["apply", "--yes"])).code).toBe(0);
  const after = await it.azure(["plan"]);
  expect(after).toMatchObject({ code: 0, out: expect.stringContaining("alerts/mine") });
});

test("of a subscription that takes everything, declared rules take over", async () => {
  await using it = await open(TOPIC(DETECTS, [{ Name: "alerts" }]));
  const plan = await it.azure(["plan"]);
  expect(plan.out).toMatch(/- delete rule predictions\/alerts\/\$Default\n +why: it takes every message/);
  expect((await it.azure(["apply", "--yes"])).code).toBe(0);
  expect((await it.azure(["plan"])).code).toBe(0);
});

test("an apply that is killed in the middle leaves what it made, and the next one makes the rest", async () => {
  await using it = await open();
  const names = Array.from({ length: 60 }, (_, n) => `{ name: s${n} }`);
  await it.routes(
    `routes: [{ name: a, topic: predictions }]\nentities: [{ topic: predictions, subscriptions: [${names}] }]`,
  );
  const main = path.join(import.meta.dirname, "main.ts");
  const child = spawn(process.execPath, [main, "azure", "apply", "--yes", "--routes", "routes.yaml"], {
    cwd: it.cwd,
    env: { PATH: process.env.PATH },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exit = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) if (line.startsWith("done 3/")) break;
  child.kill("SIGKILL");
  expect(await exit).toEqual([null, "SIGKILL"]);

  const left = JSON.parse((await it.azure(["plan", "--json"])).out) as { steps: { action: string }[] };
  expect(left.steps.length).toBeGreaterThan(0);
  expect(left.steps.length).toBeLessThanOrEqual(58);
  expect((await it.azure(["apply", "--yes"])).code).toBe(0);
  expect((await it.azure(["plan"])).code).toBe(0);
});

test("what somebody else made between plan and step stops apply, which says what was done", async () => {
  await using it = await open();
  const meanwhile = async (broker: Broker) => {
    const administration = openAdministration(broker, { ca: broker.certificate });
    await administration.createEntity("queue", "readings", { duplicate_detection_s: 600, sessions: true });
  };
  let out = "";
  let error = "";
  const code = await run(["azure", "apply", "--routes", "routes.yaml"], {
    env: {},
    cwd: it.cwd,
    out: (content) => {
      out += String(content);
    },
    error: (text) => {
      error += text;
    },
    stdin: async () => new Uint8Array(),
    isTerminal: true,
    ask: async () => {
      await meanwhile(it.broker); // while a person reads the plan
      return "yes";
    },
  });
  expect(code).toBe(1);
  expect(out).toContain("done 3/5: create subscription predictions/alerts");
  expect(error).toContain('4 of 5 steps were done; "create queue readings" and what follows were not.');
  expect(error).toContain("Somebody else was faster");
  expect((await it.azure(["plan"])).code).toBe(0);
});

test("the connection string is read where the bridge's settings say that it is kept", async () => {
  await using it = await open();
  await writeFile(path.join(it.cwd, "key"), `${it.broker.connectionString}\n`);
  const certificate = { NODE_EXTRA_CA_CERTS: path.join(it.cwd, "certificate.pem") };
  const settings = [
    { SERVICEBUS_CONNECTION_STRING_FILE: "key" },
    { SERVICEBUS_CONNECTION_STRING: `file:${it.cwd}/key` },
  ];
  for (const setting of settings) {
    const args = [path.join(import.meta.dirname, "main.ts"), "azure", "plan", "--routes", "routes.yaml"];
    const child = spawn(process.execPath, args, {
      cwd: it.cwd,
      env: { PATH: process.env.PATH, ...certificate, ...setting },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
    expect(await once(child, "exit")).toEqual([4, null]);
    expect(out).toContain(`(${Object.keys(setting)[0]})`);
  }
});

test("routes that a project put over the API are wanted too, when they are asked for", async () => {
  await using it = await open(TOPIC(DETECTS));
  await using api = await startApi(() => ({ json: { routes: [{ name: "a", queue: "alerts", outage_max_s: 900 }] } }));
  await it.routes("routes: [{ name: a, topic: predictions }]");
  const env = { MILLRACE_URL: api.url, MILLRACE_TOKEN: "t", MILLRACE_TENANT: "acme", MILLRACE_PROJECT: "plant" };
  expect((await it.azure(["plan"], { env })).code).toBe(0);
  const plan = await it.azure(["plan", "--project-routes"], { env });
  expect(api.asked).toMatchObject([{ path: "/v1/acme/plant/routes" }]);
  expect(plan.code).toBe(4);
  expect(plan.out).toMatch(/\+ create queue alerts\n.*ids kept for: 900 s/);
});

test("a key that is not accepted, a server that is away and one that is not trusted are told apart, without the key", async () => {
  await using it = await open();
  const wrong = it.broker.connectionString.replace(/SharedAccessKey=[^;]+/, "SharedAccessKey=c2VjcmV0LWtleQ==");
  await writeFile(path.join(it.cwd, "wrong"), `${wrong}\n`);
  await writeFile(
    path.join(it.cwd, ".millrace/run.json"),
    JSON.stringify({
      serviceBus: { connectionString: wrong, certificateFile: path.join(it.cwd, "certificate.pem") },
    }),
  );
  const unauthorized = await it.azure(["plan"]);
  expect(unauthorized.code).toBe(1);
  expect(unauthorized.error).toContain("does not let you manage it");
  const untrusted = await it.azure(["plan", "--connection-string-file", "wrong"]);
  expect(untrusted).toMatchObject({ code: 2, error: expect.stringContaining("NODE_EXTRA_CA_CERTS") });
  await it.broker.close();
  const away = await it.azure(["plan"], { env: { SERVICEBUS_CONNECTION_STRING: wrong } });
  expect(away.code).toBe(3);
  for (const { out, error } of [unauthorized, untrusted, away]) expect(out + error).not.toContain("c2VjcmV0");
});

test.each<[string, string[], Record<string, string>, string]>([
  ["two flags name a namespace", ["--namespace", "a.b.c", "--data", "x"], {}, "name more than one namespace"],
  [
    "two settings name one",
    [],
    { SERVICEBUS_NAMESPACE: "a.b.c", SERVICEBUS_CONNECTION_STRING: "x" },
    "SERVICEBUS_NAMESPACE and SERVICEBUS_CONNECTION_STRING are set",
  ],
  [
    "a Key Vault reference is none",
    [],
    { SERVICEBUS_CONNECTION_STRING: "@Microsoft.KeyVault(s3cret)" },
    "a Key Vault reference has SecretUri",
  ],
  ["a file with the key is not there", ["--connection-string-file", "none"], {}, "none"],
  ["nothing names one", ["--data", "elsewhere"], {}, "No Millrace runs in"],
  ["a connection string is none", [], { SERVICEBUS_CONNECTION_STRING: "Endpoint=sb://a;s3cret" }, "with a key"],
  ["a namespace is given as an address", ["--namespace", "sb://a/"], {}, "is not the name of a namespace"],
])("when %s, the command ends with 2 and says so", async (_, args, env, said) => {
  await using it = await open();
  const { code, error } = await it.azure(["plan", ...args], { env });
  expect(error).toContain(said);
  expect(error).not.toContain("s3cret");
  expect(code).toBe(2);
});

test("a routes file that is wrong ends with 2 and names every mistake", async () => {
  await using it = await open();
  await it.routes("routes: [{ name: a.b, topic: t }, { name: x, topic: t, surprise: 1 }]");
  const wrong = await it.azure(["plan"]);
  expect(wrong.code).toBe(2);
  expect(wrong.error).toMatch(/\/routes\/0\/name .*\/routes\/1 .*surprise/);
  expect((await millrace(["azure", "plan", "--routes", "none.yaml"], { cwd: it.cwd })).code).toBe(2);
});
