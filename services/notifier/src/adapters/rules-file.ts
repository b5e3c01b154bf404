import { readFileSync } from "node:fs";
import { keyVaultSecret } from "@millrace/azure/secrets";
import { ConfigError } from "@millrace/kit";
import { Compile } from "typebox/compile";
import { parseDocument } from "yaml";
import { type Rule, type RuleDefinition, RulesFile } from "../domain/rule.ts";
import { keyOf } from "../domain/signature.ts";

const validator = Compile(RulesFile);
const MISTAKES_MAX = 50;

/**
 * Reads the rules (YAML, of which JSON is a part), and looks at the secrets they name. No file means no rules.
 * @throws ConfigError naming every mistake in it; never a secret.
 */
export function readRules(file: string | undefined, env: Readonly<Record<string, string | undefined>>): Rule[] {
  const text = file === undefined ? undefined : readIfThere(file);
  if (text === undefined) return [];
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) throw new ConfigError(document.errors.map((error) => `${file}: ${error.message}`));
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  if (!validator.Check(value)) {
    const mistakes = validator
      .Errors(value)
      .map(({ instancePath, message }) => `${file}: ${instancePath || "/"} ${message}`);
    throw new ConfigError([...new Set(mistakes)].slice(0, MISTAKES_MAX));
  }
  const mistakes: string[] = [];
  const names = new Set<string>();
  const rules = value.rules.map((definition) => {
    const say = (what: string) => mistakes.push(`${file}: rule "${definition.name}": ${what}`);
    if (names.has(definition.name)) say("another rule has this name");
    names.add(definition.name);
    return toRule(definition, env, say);
  });
  if (mistakes.length > 0) throw new ConfigError(mistakes.slice(0, MISTAKES_MAX));
  return rules;
}

function toRule(
  { webhook, ...rest }: RuleDefinition,
  env: Readonly<Record<string, string | undefined>>,
  say: (mistake: string) => void,
): Rule {
  const url = URL.parse(webhook.url);
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:")) say("webhook.url is not an http or https URL");
  else if (url.username || url.password) say("webhook.url holds a password; receivers check the signature instead");
  checkSecret(rest.name, webhook.secret, env, say);
  return { ...rest, url: url ?? new URL("invalid:"), secret: webhook.secret };
}

/** What is wrong with a secret is told at the start, of Key Vault only the form of its address. */
function checkSecret(
  rule: string,
  { env: name, file, keyVault }: RuleDefinition["webhook"]["secret"],
  env: Readonly<Record<string, string | undefined>>,
  say: (mistake: string) => void,
): void {
  const where = name === undefined ? `the file ${file}` : `the environment variable ${name}`;
  try {
    if (keyVault !== undefined) {
      keyVaultSecret(keyVault, `rule "${rule}"`);
      return;
    }
    const text = name === undefined ? readFileSync(file!, "utf8") : env[name];
    if (text === undefined) say(`${where}, which holds the secret, is not set`);
    for (const line of text?.trim().split("\n") ?? []) {
      const key = keyOf(line.trim());
      if (!key.ok) say(`${where}: ${key.problem.detail}`);
    }
  } catch (cause) {
    say(keyVault === undefined ? `${where} cannot be read: ${(cause as Error).message}` : (cause as Error).message);
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new ConfigError([`RULES_FILE: ${(cause as Error).message}`]);
  }
}
