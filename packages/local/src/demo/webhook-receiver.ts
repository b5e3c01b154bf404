import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";

const BODY_BYTES_MAX = 1024 * 1024;
const CLOCK_TOLERANCE_S = 300;

/** A webhook as it came: `bytes` is what was signed, `body` the same parsed (undefined when it is no JSON). */
export type Delivery = { id: string; body: unknown; bytes: Buffer };

export type WebhookReceiverOptions = {
  /** The address to listen on. @default 127.0.0.1 */
  host?: string;
  /** @default any free one */
  port?: number;
  /** In the form of Standard Webhooks, `whsec_` and base64. @default a random one */
  secret?: string;
};

/** An HTTP server that takes webhooks, believes only signed ones, and answers 204 or 401. */
export type WebhookReceiver = AsyncDisposable & { readonly url: string; readonly secret: string };

/** @param onDelivery called for each webhook whose signature holds, repeats of an id included */
export async function startWebhookReceiver(
  onDelivery: (delivery: Delivery) => void,
  { host = "127.0.0.1", port: wanted = 0, secret = newWebhookSecret() }: WebhookReceiverOptions = {},
): Promise<WebhookReceiver> {
  const server = createServer(async (request, response) => {
    const body = await readBody(request).catch(() => undefined);
    const id = body === undefined ? undefined : verifiedId(request.headers, body, secret, Date.now());
    if (body === undefined || id === undefined) return void response.writeHead(401).end();
    response.writeHead(204).end();
    onDelivery({ id, body: parse(body), bytes: body });
  });
  server.listen(wanted, host);
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `http://${host}:${port}/`,
    secret,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export const newWebhookSecret = (): string => `whsec_${randomBytes(24).toString("base64")}`;

/**
 * The webhook's id if one of its signatures is ours: Standard Webhooks, HMAC-SHA256 over `<id>.<timestamp>.<body>`.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function verifiedId(
  headers: IncomingHttpHeaders,
  body: Buffer,
  secret: string,
  now_ms: number,
): string | undefined {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  const signatures = headers["webhook-signature"];
  if (typeof id !== "string" || typeof timestamp !== "string" || typeof signatures !== "string") return undefined;
  if (!(Math.abs(now_ms / 1000 - Number(timestamp)) <= CLOCK_TOLERANCE_S)) return undefined;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  const matches = signatures.split(" ").some((signature) => {
    const [version, value = ""] = signature.split(",");
    const given = Buffer.from(value, "base64");
    return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
  return matches ? id : undefined;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) throw new Error("the webhook is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
