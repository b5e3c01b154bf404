import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";

/** The top level of the repository: where `docker compose` is called. */
export const ROOT = path.resolve(import.meta.dirname, "../../..");
const MAIN = "docker-compose.yml";
const DIRECTORY = "deploy/compose";

/** A service as its file has it, with what it merges in. Only what the checks look at. */
export type Service = Readonly<Record<string, unknown>> & {
  image?: string;
  user?: string;
  volumes?: readonly string[];
  ports?: readonly string[];
  environment?: Readonly<Record<string, string | null>>;
};

export type ComposeFile = {
  /** From the top level. */
  name: string;
  text: string;
  services: Readonly<Record<string, Service>>;
  volumes: Readonly<Record<string, unknown>>;
};

/** The main file, and those that replace a part of it. */
export function composeFiles(): ComposeFile[] {
  const others = readdirSync(path.join(ROOT, DIRECTORY)).filter((name) => name.endsWith(".yaml"));
  return [MAIN, ...others.sort().map((name) => `${DIRECTORY}/${name}`)].map((name) => {
    const text = readFileSync(path.join(ROOT, name), "utf8");
    return { name, text, ...readCompose(text) };
  });
}

/** Compose's own tags (`!override`) say how files are merged, which is no matter here. */
const TAGS = ["!override", "!reset"].map((tag) => ({
  tag,
  collection: "map" as const,
  resolve: (map: unknown) => map,
}));

export function readCompose(text: string): Pick<ComposeFile, "services" | "volumes"> {
  const { services = {}, volumes = {} } = parse(text, {
    merge: true,
    customTags: TAGS as never,
  }) as Partial<ComposeFile>;
  return { services, volumes };
}

/** Variables that a file reads: `${NAME}` in any form, and settings without a value, which are taken from outside. */
export function variablesOf({ text, services }: Pick<ComposeFile, "text" | "services">): string[] {
  const code = text.replace(/^\s*#.*$/gm, "");
  const interpolated = [...code.matchAll(/(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)/g)].map(([, name]) => name!);
  const passed = Object.values(services).flatMap(({ environment = {} }) =>
    Object.entries(environment).flatMap(([name, value]) => (value === null ? [name] : [])),
  );
  return [...new Set([...interpolated, ...passed])].sort();
}

/** The default that a file gives a variable; undefined when it gives none. */
export function defaultsOf({ text }: Pick<ComposeFile, "text">): Map<string, Set<string>> {
  const defaults = new Map<string, Set<string>>();
  for (const [, name, value] of text.matchAll(/(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*):-([^}]*)\}/g))
    defaults.set(name!, (defaults.get(name!) ?? new Set()).add(value!));
  return defaults;
}
