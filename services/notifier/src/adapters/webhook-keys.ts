import { keyVaultSecret, openSecret, type Secret, type SecretOptions } from "@millrace/azure/secrets";
import type { Rule } from "../domain/rule.ts";
import { keyOf } from "../domain/signature.ts";

/** The keys that sign now, the current one first: two while a rotation is under way. Or why there is none. */
export type KeysInUse =
  | { ok: true; keys: readonly Uint8Array[]; secrets: readonly string[] }
  | { ok: false; why: string };

/** The keys of a rule's webhook, as its secret's place has them at the moment. */
export type WebhookKeys = Disposable & {
  current(): Promise<KeysInUse>;
  /** After a receiver did not believe a signature: reads again, and answers whether other keys hold than were used. */
  renewed(used: KeysInUse): Promise<boolean>;
};

export function openWebhookKeys({ name, secret }: Pick<Rule, "name" | "secret">, options: SecretOptions): WebhookKeys {
  const opened = openSecret(sourceOf(name, secret), options);
  const current = () => keysOf(opened);
  return {
    current,
    async renewed(used) {
      await opened.refused();
      const now = await current();
      return now.ok && used.ok && now.secrets[0] !== used.secrets[0];
    },
    [Symbol.dispose]: () => opened[Symbol.dispose](),
  };
}

function sourceOf(rule: string, { env, file, keyVault }: Rule["secret"]) {
  if (env !== undefined) return { env };
  if (file !== undefined) return { file };
  return keyVaultSecret(keyVault ?? "", `rule "${rule}"`);
}

/** A value that is no key is passed over while another one is: a mistake in a rotation stops no webhook. */
async function keysOf(secret: Secret): Promise<KeysInUse> {
  try {
    const read = (await secret.values()).map((value) => ({ value, key: keyOf(value) }));
    const good = read.flatMap(({ value, key }) => (key.ok ? [{ value, key: key.value }] : []));
    if (good.length > 0) return { ok: true, keys: good.map(({ key }) => key), secrets: good.map(({ value }) => value) };
    const [first] = read;
    const why = first && !first.key.ok ? first.key.problem.detail : "there is none";
    return { ok: false, why: `${secret.place}: ${why}` };
  } catch (cause) {
    return { ok: false, why: (cause as Error).message };
  }
}
