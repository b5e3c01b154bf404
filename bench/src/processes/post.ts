import { type Agent, request } from "node:http";
import type { Readable } from "node:stream";

export type Post = {
  url: string;
  headers: Readonly<Record<string, string>>;
  body: string | Uint8Array | Readable;
  agent: Agent;
};

/** One POST over a keep-alive agent; `fetch` costs several times as much. @throws unless the answer is one of `expected` */
export function post({ url, headers, body, agent }: Post, ...expected: number[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const length = typeof body === "string" || body instanceof Uint8Array ? Buffer.byteLength(body) : undefined;
    const sizes: Record<string, string> = length === undefined ? {} : { "content-length": String(length) };
    const call = request(url, { method: "POST", agent, headers: { ...headers, ...sizes } }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () => {
        const answer = Buffer.concat(chunks);
        if (expected.includes(response.statusCode!)) resolve(answer);
        else reject(new Error(`${url} answered ${response.statusCode}: ${answer.toString("utf8", 0, 500)}`));
      });
    });
    call.once("error", reject);
    if (typeof body === "string" || body instanceof Uint8Array) call.end(body);
    else body.pipe(call);
  });
}
