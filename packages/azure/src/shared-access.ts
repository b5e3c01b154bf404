import { parseServiceBusConnectionString } from "@azure/service-bus";
import type { SendFailure } from "./failure.ts";
import type { Secret, SecretValues } from "./secret.ts";
import type { Sender, SendResult } from "./sender.ts";

/**
 * Shared access whose key is rotated while the client is open: the SDK signs each token with the key that is current at
 * that moment, so connections, links and what is under way stay as they are.
 */
export type SharedAccess = Disposable & {
  /** The namespace's host, with its port if it has one. */
  readonly host: string;
  /** Read by the SDK whenever it needs a token. */
  readonly credential: { readonly name: string; readonly key: string };
  /**
   * A sender that has the secret read again when Service Bus refuses the key, and sends what was refused once more when
   * another key is current by then.
   */
  heed(sender: Sender): Sender;
  /** The same for a receiver, which makes its link anew by itself: its options, with an ear on what goes wrong. */
  listen<Options extends { onState(trouble: SendFailure | undefined): void }>(options: Options): Options;
};

type Keys = readonly [current: ReturnType<typeof parse>, ...previous: ReturnType<typeof parse>[]];

/**
 * Reads a connection string with a key from its place, and goes on heeding it. One that names another namespace later on
 * is not followed: the secret's `onTrouble` is told.
 * @throws SecretError when it cannot be read
 * @throws Error when it is no connection string with a key; its text is not in the message
 */
export async function openSharedAccess(secret: Secret): Promise<SharedAccess> {
  const keysOf = (values: SecretValues) => values.map((value) => parse(value, secret.place)) as unknown as Keys;
  let keys = keysOf(await secret.values());
  const { host } = keys[0];
  let position = 0;
  const current = () => keys[position] ?? keys[0];
  const listening = secret.onChange((values) => {
    const next = keysOf(values).filter((one) => one.host === host);
    if (next[0] === undefined) throw new Error("it names another namespace now; restart the process to move there");
    keys = next as unknown as Keys;
    position = 0;
  });
  /** Whether another key than the one that was refused is current now. */
  const renewed = async (refused: string): Promise<boolean> => {
    await secret.refused();
    // Somebody stored the next key before it was made valid: the one before it still is.
    if (current().key === refused) position = (position + 1) % keys.length;
    return current().key !== refused;
  };
  return {
    host,
    credential: {
      get name() {
        return current().name;
      },
      get key() {
        return current().key;
      },
    },
    heed: (sender) => ({
      async sendAll(messages) {
        const used = current().key;
        const results = await sender.sendAll(messages);
        const refused = [...results.keys()].filter((index) => isUnauthorized(results[index]!));
        if (refused.length === 0 || !(await renewed(used))) return results;
        const again = await sender.sendAll(refused.map((index) => messages[index]!));
        for (const [at, index] of refused.entries()) results[index] = again[at]!;
        return results;
      },
      [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose](),
    }),
    listen: (options) => ({
      ...options,
      onState(trouble) {
        if (trouble?.kind === "unauthorized") void renewed(current().key).catch(() => {}); // its place tells of trouble
        options.onState(trouble);
      },
    }),
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  };
}

const isUnauthorized = (result: SendResult) => !result.ok && result.kind === "unauthorized";

function parse(text: string, place: string): { host: string; name: string; key: string } {
  try {
    const { endpoint, sharedAccessKeyName: name, sharedAccessKey: key } = parseServiceBusConnectionString(text);
    const host = endpoint.replace(/^\w+:\/\//, "").replace(/\/+$/, "");
    if (host && name && key) return { host, name, key };
  } catch {
    // what the SDK says may hold the text
  }
  throw new Error(`${place} holds no connection string with Endpoint, SharedAccessKeyName and SharedAccessKey`);
}
