import { readFileSync } from "node:fs";
import { ConfigError } from "@millrace/kit";
import { Compile } from "typebox/compile";
import { parseDocument } from "yaml";
import { type Rule, type RuleDefinition, RulesFile } from "../domain/rule.ts";
import { keyOf } from "../domain/signature.ts";

const validator = Compile(RulesFile);
const MISTAKES_MAX = 50;

/**
 * Reads the rules (YAML, of which JSON is a part) and the secrets they name. No file means no rules.
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
  return { ...rest, url: url ?? new URL("invalid:"), key: readKey(webhook.secret, env, say) };
}

function readKey(
  { env: name, file }: RuleDefinition["webhook"]["secret"],
  env: Readonly<Record<string, string | undefined>>,
  say: (mistake: string) => void,
): Uint8Array {
  const where = name === undefined ? `the file ${file}` : `the environment variable ${name}`;
  let secret: string | undefined;
  try {
    secret = name === undefined ? readFileSync(file!, "utf8") : env[name];
  } catch (cause) {
    say(`${where} cannot be read: ${(cause as Error).message}`);
    return new Uint8Array();
  }
  if (secret === undefined) say(`${where}, which holds the secret, is not set`);
  const key = keyOf((secret ?? "").trim());
  if (secret !== undefined && !key.ok) say(`${where}: ${key.problem.detail}`);
  return key.ok ? key.value : new Uint8Array();
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new ConfigError([`RULES_FILE: ${(cause as Error).message}`]);
  }
}
