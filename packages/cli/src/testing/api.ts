import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { type Problem, problemDocument } from "@millrace/contracts";
import { run } from "../run.ts";

/** What the API was asked. */
export type Asked = { method: string; path: string; query: Record<string, string>; token: string; body: unknown };
/** What it answers: JSON, bytes with headers, or a problem. */
export type Answer =
  | { json: unknown; status?: number }
  | { bytes: Uint8Array; headers?: Record<string, string> }
  | { text: string; status: number }
  | { problem: Problem };

/** A real HTTP server that answers as a test wants, and remembers what it was asked. For tests only. */
export async function startApi(answer: (asked: Asked) => Answer) {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const question = await read(request);
    asked.push(question);
    const given = answer(question);
    if ("problem" in given) {
      const document = problemDocument(given.problem, { instance: question.path });
      response.writeHead(document.status, { "content-type": "application/problem+json" });
      return response.end(JSON.stringify(document));
    }
    if ("bytes" in given) return response.writeHead(200, given.headers).end(given.bytes);
    if ("text" in given) return response.writeHead(given.status).end(given.text);
    response.writeHead(given.status ?? 200, { "content-type": "application/json" });
    return response.end(JSON.stringify(given.json));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function read(request: IncomingMessage): Promise<Asked> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const url = new URL(request.url!, "http://test");
  const text = Buffer.concat(chunks).toString();
  return {
    method: request.method!,
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    token: request.headers.authorization ?? "",
    body: text === "" ? undefined : JSON.parse(text),
  };
}

export type Ran = { code: number; out: string; bytes: Buffer; error: string };

/** Runs a command line in this process. */
export async function millrace(
  args: readonly string[],
  world: { env?: Record<string, string>; cwd?: string; stdin?: string; isTerminal?: boolean; answer?: string } = {},
): Promise<Ran> {
  const out: Buffer[] = [];
  let error = "";
  const code = await run(args, {
    env: world.env ?? {},
    cwd: world.cwd ?? "/nowhere",
    out: (content) => out.push(Buffer.from(content)),
    error: (text) => {
      error += text;
    },
    stdin: async () => Buffer.from(world.stdin ?? ""),
    ask: async () => world.answer,
    isTerminal: world.isTerminal ?? false,
  });
  const bytes = Buffer.concat(out);
  return { code, out: bytes.toString(), bytes, error };
}
