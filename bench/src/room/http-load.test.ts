import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGenerator } from "./http-load.ts";

const BODY = '{"text":"a \\"quote\\", ünï\\\\code","numbers":[1.5,-2]}';
let status = 202;
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const arrived = Buffer.concat(chunks).toString("utf8") === BODY && request.headers.authorization === "Bearer x-y_z";
    response.statusCode = arrived && request.method === "POST" ? status : 400;
    response.end("{}");
  });
});
beforeAll(() => new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve)));
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

describe.each([undefined, "autocannon"] as const)("the load generator (%s)", (name) => {
  const load = async () => {
    const generator = await openGenerator(name);
    const { port } = server.address() as AddressInfo;
    const headers = { authorization: "Bearer x-y_z", "content-type": "application/json" };
    const url = `http://127.0.0.1:${port}/`;
    return await generator.load({ url, method: "POST", headers, body: BODY, connections: 2, seconds: 1 });
  };

  it("sends method, headers and body as they are and counts the answers", async () => {
    status = 202;
    expect(await load()).toBeGreaterThan(10);
  }, 15_000);

  it("takes no figure from answers that are not 2xx", async () => {
    status = 503;
    await expect(load()).rejects.toThrow(/not 2xx|Non-2xx/);
  }, 15_000);
});
