import { readFileSync } from "node:fs";
import type { Static, TObject, TSchema } from "typebox";
import { Value } from "typebox/value";

/** What an operator got wrong: every mistake at once, each with what to do. */
export class ConfigError extends Error {
  readonly code = "config-invalid";
  readonly mistakes: readonly string[];
  constructor(mistakes: readonly string[]) {
    const count = mistakes.length === 1 ? "1 setting is wrong" : `${mistakes.length} settings are wrong`;
    super(`${count}:\n${mistakes.map((mistake) => `  ${mistake}`).join("\n")}`);
    this.name = "ConfigError";
    this.mistakes = mistakes;
  }
}

const SECRET = /PASSWORD|SECRET|TOKEN|CONNECTION_STRING|KEY/;

/**
 * Reads settings from the environment by a TypeBox object schema: converts numbers and booleans, fills defaults, and
 * takes `NAME_FILE` for `NAME` (container secrets). Variables the schema does not name are ignored.
 * @throws ConfigError naming every mistake; values of settings that look like secrets are never shown.
 */
export function loadConfig<Schema extends TObject>(
  schema: Schema,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Static<Schema> {
  const settings: Record<string, unknown> = {};
  const mistakes: string[] = [];
  for (const [name, property] of Object.entries(schema.properties)) {
    try {
      const text = env[name] ?? fromFile(name, schema, env);
      if (text !== undefined && text !== "") settings[name] = text;
    } catch (cause) {
      mistakes.push(`${name}_FILE: ${(cause as Error).message}`);
      continue;
    }
    mistakes.push(...settle(settings, name, property, !schema.required?.includes(name)));
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return settings as Static<Schema>;
}

function fromFile(name: string, schema: TObject, env: Readonly<Record<string, string | undefined>>) {
  const file = env[`${name}_FILE`];
  if (!file || `${name}_FILE` in schema.properties) return undefined;
  return readFileSync(file, "utf8").trim();
}

/** Converts and checks one setting in place; answers the mistakes found. */
function settle(settings: Record<string, unknown>, name: string, property: TSchema, optional: boolean): string[] {
  const { description, default: fallback } = property as { description?: string; default?: unknown };
  const hint = description ? ` (${description})` : "";
  if (settings[name] === undefined) {
    if (fallback !== undefined) settings[name] = structuredClone(fallback);
    else if (!optional) return [`${name}: is missing; set it${hint}`];
    return [];
  }
  const given = settings[name];
  settings[name] = Value.Convert(property, given);
  const errors = Value.Errors(property, settings[name]);
  const shown = SECRET.test(name) ? "its value" : JSON.stringify(given);
  return errors.slice(0, 1).map((error) => `${name}: ${shown} ${error.message}${hint}`);
}
