import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** As many requests as a server answers, from a generator in a process of its own: wrk where it is installed, else autocannon. */
export type HttpLoad = {
  url: string;
  method: "POST";
  headers: Readonly<Record<string, string>>;
  body: string;
  /** Keep-alive connections, each with one request under way. */
  connections: number;
  seconds: number;
};

export type Generator = {
  name: "wrk" | "autocannon";
  version: string;
  /** Answers per second. @throws when one of them is not a 2xx, or a connection failed */
  load(load: HttpLoad): Promise<number>;
};

const run = promisify(execFile);
const GRACE_S = 20;
/** Its module is its command as well. */
const autocannon = fileURLToPath(import.meta.resolve("autocannon"));

/** wrk where it is on PATH, else autocannon; or the one that is named. */
export async function openGenerator(name?: Generator["name"]): Promise<Generator> {
  // wrk prints its version and leaves with 1 for `-v`.
  const version = await run("wrk", ["-v"]).then(
    ({ stdout }) => stdout,
    (cause: { stdout?: string; code?: unknown }) => (cause.code === "ENOENT" ? undefined : cause.stdout),
  );
  if (version !== undefined && name !== "autocannon")
    return { name: "wrk", version: /\d+\.\d+\.\d+/.exec(version)?.[0] ?? "unknown", load: withWrk };
  const { version: of } = JSON.parse(await readFile(path.join(path.dirname(autocannon), "package.json"), "utf8"));
  return { name: "autocannon", version: of, load: withAutocannon };
}

/** One thread: its own epoll loop is far from its limit at the rates of a server that shares the cores with it. */
async function withWrk({ url, method, headers, body, connections, seconds }: HttpLoad): Promise<number> {
  const directory = await mkdtemp(path.join(tmpdir(), "millrace-wrk-"));
  try {
    const script = path.join(directory, "request.lua");
    const lines = [
      `wrk.method = ${lua(method)}`,
      `wrk.body = ${lua(body)}`,
      ...Object.entries(headers).map(([name, value]) => `wrk.headers[${lua(name)}] = ${lua(value)}`),
    ];
    await writeFile(script, lines.join("\n"), { mode: 0o600 });
    const args = ["-t", "1", "-c", String(connections), "-d", `${seconds}s`, "--timeout", "10s", "-s", script, url];
    const { stdout } = await run("wrk", args, { timeout: (seconds + GRACE_S) * 1_000 });
    const wrong = /Non-2xx or 3xx responses: \d+|Socket errors: .*/.exec(stdout);
    if (wrong) throw new Error(`${url}: ${wrong[0]}`);
    return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)![1]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function withAutocannon({ url, method, headers, body, connections, seconds }: HttpLoad): Promise<number> {
  const args = [
    ...["--json", "--no-progress", "--workers", "1", "-c", String(connections), "-d", String(seconds), "-m", method],
    ...Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}=${value}`]),
    ...["-b", body, url],
  ];
  const { stdout } = await run(process.execPath, [autocannon, ...args], { timeout: (seconds + GRACE_S) * 1_000 });
  const result = JSON.parse(stdout) as { "2xx": number; non2xx: number; errors: number; duration: number };
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${url}: ${result.non2xx} answers were not 2xx, ${result.errors} connections failed`);
  return result["2xx"] / result.duration;
}

/** A Lua string literal: decimal escapes for everything that is not plain. */
const lua = (text: string): string =>
  `"${[...Buffer.from(text)].map((byte) => (/[A-Za-z0-9 _.,:;/-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, "0")}`)).join("")}"`;
