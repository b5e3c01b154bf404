import { spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { ServiceBusClient } from "@azure/service-bus";
import { configOf, noRenewal, some } from "../src/testing/local-broker.ts";
import { randomFrom } from "../src/testing/random.ts";
import { malformedDocument } from "./documents.ts";
import { mutate, splitStream } from "./mutations.ts";
import { recordConversation } from "./recording.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const KEY_NAME = "RootManageSharedAccessKey";
/** A leak ends the broker rather than the machine. */
const HEAP_MB = 256;
const AT_ONCE = 8;
const HOLD_MS = 300;
const PAUSE_MS = 20;
const CONFIG = configOf({
  Queues: [{ Name: "work" }, { Name: "sessions", Properties: { RequiresSession: true } }, { Name: "steady" }],
  Topics: [{ Name: "news", Subscriptions: [{ Name: "all" }] }],
});

export interface FuzzReport {
  readonly seed: number;
  readonly connections: number;
  readonly documents: number;
  /** The broker's resident memory in MiB, where the system tells it. */
  readonly memory: { readonly start: number; readonly most: number; readonly end: number } | undefined;
  /** What a client that does everything right had of it. */
  readonly steady: { readonly messages: number; readonly slowestMs: number; readonly failures: readonly string[] };
  /** Why the broker ended, if it did. */
  readonly ended: string | undefined;
}

/** Sends a broker in a process of its own what no client should, while one client goes on doing everything right. */
export async function fuzz(options: { seconds: number; seed: number }): Promise<FuzzReport> {
  const random = randomFrom(options.seed);
  await using broker = await startBroker();
  const conversations = (await recordConversation(broker)).map(splitStream);
  const all = conversations.flat();
  const until = performance.now() + options.seconds * 1000;
  const going = () => performance.now() < until && broker.ended === undefined;
  let [connections, documents] = [0, 0];

  const attack = async () => {
    while (going()) {
      if (random(4) === 0) {
        documents++;
        await put(broker, malformedDocument(random), random);
      } else {
        connections++;
        const pieces = mutate(conversations[random(conversations.length)]!, all, random);
        await say(broker.port, pieces, { halfOpen: random(10) === 0 });
      }
    }
  };
  const memory = watchMemory(broker.pid);
  const steady = beSteady(broker.connectionString, going);
  await Promise.all(Array.from({ length: AT_ONCE }, attack));
  const report = await steady;
  return {
    seed: options.seed,
    connections,
    documents,
    memory: await memory.stop(),
    steady: report,
    ended: broker.ended,
  };
}

async function startBroker() {
  const folder = await mkdtemp(path.join(tmpdir(), "servicebus-fuzz-"));
  const config = path.join(folder, "Config.json");
  await writeFile(config, JSON.stringify(CONFIG));
  const key = randomBytes(32).toString("base64");
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${HEAP_MB}`, MAIN, "--config", config, "--port", "0", "--host", "127.0.0.1"],
    { env: { ...process.env, SHARED_ACCESS_KEY: key }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4_096);
  });
  let ended: string | undefined;
  const exited = once(child, "exit").then(([code, signal]) => {
    ended = `exit ${code ?? signal}: ${said}`;
  });
  const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), exited.then(() => [])])) as string[];
  if (line === undefined) throw new Error(`The broker did not start: ${ended}`);
  const { port } = JSON.parse(line) as { port: number };
  return {
    port,
    pid: child.pid!,
    key,
    connectionString: `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=${KEY_NAME};SharedAccessKey=${key};UseDevelopmentEmulator=true`,
    get ended() {
      return ended;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Says it all, and waits until the broker has had enough, or for a while. */
async function say(port: number, pieces: readonly Buffer[], { halfOpen }: { halfOpen: boolean }): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  socket.on("error", () => {}); // being cut off is what it is for
  socket.resume();
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  for (const piece of pieces) if (!socket.destroyed) socket.write(piece);
  if (halfOpen) socket.end();
  const held = setTimeout(() => socket.destroy(), HOLD_MS);
  await closed;
  clearTimeout(held);
}

async function put(
  broker: { port: number; key: string },
  document: string | Buffer,
  random: (below: number) => number,
) {
  const paths = [`q${random(50)}`, "news/subscriptions/all/rules/r", `news/subscriptions/s${random(50)}`, "%ff%00"];
  const at = paths[random(paths.length)]!;
  const expiry = Math.floor(Date.now() / 1000) + 600;
  const signature = createHmac("sha256", broker.key).update(`%2F\n${expiry}`).digest("base64");
  const authorization = `SharedAccessSignature sr=%2F&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=${KEY_NAME}`;
  await new Promise<void>((resolve) => {
    const method = random(5) === 0 ? "DELETE" : "PUT";
    const headers = { authorization, ...(random(3) === 0 && { "if-match": "*" }) };
    const sent = request({ host: "127.0.0.1", port: broker.port, path: `/${at}`, method, headers, agent: false });
    sent.on("response", (response) => response.resume().once("close", resolve));
    sent.on("error", () => resolve());
    sent.setTimeout(10_000, () => sent.destroy());
    sent.end(document);
  });
}

/** Sends, receives and completes, and wants every message once, in order. */
async function beSteady(connectionString: string, going: () => boolean): Promise<FuzzReport["steady"]> {
  const client = new ServiceBusClient(connectionString, { retryOptions: { maxRetries: 0, timeoutInMs: 30_000 } });
  const sender = client.createSender("steady");
  const receiver = client.createReceiver("steady", noRenewal);
  const failures: string[] = [];
  let [messages, slowestMs] = [0, 0];
  while (going()) {
    const began = performance.now();
    try {
      const batch = Array.from({ length: 10 }, (_, n) => ({ body: messages + n }));
      await sender.sendMessages(batch);
      const received = await some(receiver, 10);
      for (const message of received) await receiver.completeMessage(message);
      const got = received.map(({ body }) => body as number);
      if (got.some((body, n) => body !== messages + n)) failures.push(`expected ${messages} and on, got ${got}`);
      messages += 10;
    } catch (error) {
      failures.push(String(error));
      if (failures.length >= 10) break;
    }
    slowestMs = Math.max(slowestMs, performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  await client.close();
  return { messages, slowestMs: Math.round(slowestMs), failures };
}

/** Looks at a process's resident memory now and then; on Linux only. */
function watchMemory(pid: number) {
  const residentMiB = async () => {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    return Number(/VmRSS:\s*(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
  };
  const seen: number[] = [];
  const look = async () => {
    const now = await residentMiB();
    if (Number.isFinite(now)) seen.push(Math.round(now));
  };
  const first = look();
  const timer = setInterval(() => void look(), 250);
  return {
    async stop(): Promise<FuzzReport["memory"]> {
      clearInterval(timer);
      await first;
      await look();
      const most = seen.reduce((a, b) => Math.max(a, b), 0);
      return seen.length === 0 ? undefined : { start: seen[0]!, most, end: seen.at(-1)! };
    },
  };
}
