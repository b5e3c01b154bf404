import { lookup as resolve } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { childTraceparent } from "@millrace/kit";
import { Agent, request } from "undici";
import { isAllowedPrivate, type PrivateReceivers, refusalOf } from "../domain/address.ts";
import { type Attempt, attemptOf, isDisbelief } from "../domain/delivery.ts";
import type { Notification } from "../domain/notification.ts";
import type { Rule } from "../domain/rule.ts";
import { signedHeaders } from "../domain/signature.ts";
import type { WebhookKeys } from "./webhook-keys.ts";

export type WebhookOptions = {
  /** Bound on one attempt: connecting, sending, and waiting for the answer. */
  timeout_ms: number;
  private: PrivateReceivers;
  keys: WebhookKeys;
};

/** Delivers notifications to one receiver. */
export type Webhook = AsyncDisposable & { deliver(notification: Notification): Promise<Attempt> };

/** Read so that the connection can be used again; what is longer is cut off. Nothing in it is looked at. */
const ANSWER_BYTES_MAX = 16 * 1024;

/** Opens the way to a rule's receiver: connections of its own, so that one slow receiver stops no other. */
export function openWebhook({ url }: Pick<Rule, "url">, options: WebhookOptions): Webhook {
  const { timeout_ms, keys } = options;
  const isOpen = isAllowedPrivate(options.private, url);
  const agent = new Agent({
    connect: { timeout: timeout_ms, ...(isOpen ? {} : { lookup: publicLookup }) },
    headersTimeout: timeout_ms,
    bodyTimeout: timeout_ms,
    keepAliveTimeout: 10_000,
    maxHeaderSize: 16 * 1024,
    pipelining: 1,
  });
  // A literal address is connected to without a lookup, so it is looked at here.
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const refusal = !isOpen && isIP(host) ? refusalOf(host) : undefined;

  const attempt = async (notification: Notification, signing: readonly Uint8Array[]): Promise<Attempt> => {
    try {
      const { statusCode, headers, body } = await request(url, {
        dispatcher: agent,
        method: "POST",
        headers: {
          "content-type": "application/json",
          "user-agent": "millrace-notifier",
          "x-correlation-id": notification.correlationId,
          traceparent: childTraceparent(notification.traceparent),
          ...signedHeaders(notification, signing, Date.now()),
        },
        body: notification.body,
        signal: AbortSignal.timeout(timeout_ms),
      });
      // The answer counts from its status line; a body that is too long or never ends changes nothing.
      await body.dump({ limit: ANSWER_BYTES_MAX }).catch(() => {});
      const retryAfter = headers["retry-after"];
      return attemptOf(
        { status: statusCode, retryAfter: typeof retryAfter === "string" ? retryAfter : undefined },
        Date.now(),
      );
    } catch (cause) {
      if (cause instanceof AddressRefusedError) return { kind: "refused", why: cause.message };
      return { kind: "failed", why: reasonOf(cause, timeout_ms) };
    }
  };

  return {
    async deliver(notification) {
      if (refusal) return { kind: "refused", why: refusedAddress(refusal) };
      const used = await keys.current();
      if (!used.ok) return { kind: "held", why: used.why };
      const result = await attempt(notification, used.keys);
      // The receiver may have the next key already, and we not: if another one holds by now, it is worth another try.
      if (result.kind !== "refused" || !isDisbelief(result) || !(await keys.renewed(used))) return result;
      const renewed = await keys.current();
      return renewed.ok ? await attempt(notification, renewed.keys) : { kind: "held", why: renewed.why };
    },
    [Symbol.asyncDispose]: () => agent.destroy(),
  };
}

class AddressRefusedError extends Error {
  override name = "AddressRefusedError";
}

const refusedAddress = (refusal: string) =>
  `webhooks go to public addresses only, and ${refusal}; ALLOW_PRIVATE_WEBHOOKS can allow this host:port`;

/**
 * Resolves a name and hands exactly the addresses that were checked to the connection: a name that resolves to another
 * address a moment later (DNS rebinding) is not asked again. One refused address refuses the name.
 */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  resolve(hostname, { ...options, all: true }, (err, addresses) => {
    if (err) return callback(err, "", 0);
    const refusal = addresses.map(({ address }) => refusalOf(address)).find((why) => why !== undefined);
    const first = addresses[0];
    if (refusal !== undefined || !first)
      return callback(
        new AddressRefusedError(refusedAddress(`${hostname} resolves to one that is not: ${refusal ?? "none"}`)),
        "",
        0,
      );
    if (options.all) callback(null, addresses);
    else callback(null, first.address, first.family);
  });
};

/** One line for logs and events; the receiver's text is not in it. */
function reasonOf(cause: unknown, timeout_ms: number): string {
  const { name, code, message } = cause as { name?: string; code?: string; message?: string };
  if (name === "TimeoutError" || code?.includes("TIMEOUT"))
    return `the receiver did not answer within ${timeout_ms} ms`;
  return `the receiver could not be reached: ${code ?? message ?? String(cause)}`;
}
