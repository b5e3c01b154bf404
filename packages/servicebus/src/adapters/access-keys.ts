import type { AuthorizationRule } from "../config.ts";
import { ALL_RIGHTS } from "./rights.ts";
import type { AccessKey } from "./sas.ts";

/** The keys of authorization rules: each has two, so that one can be changed while clients use the other. */
export function accessKeysOf(
  rules: readonly { readonly path: string; readonly rule: AuthorizationRule }[],
): AccessKey[] {
  return rules.flatMap(({ path: scope, rule }) => {
    const rights = ALL_RIGHTS.filter((right) => rule.Rights.some((given) => given.toLowerCase() === right));
    const keys = [rule.PrimaryKey, rule.SecondaryKey].filter((key) => key !== undefined);
    return keys.map((key) => ({ name: rule.KeyName, key, rights, scope }));
  });
}
