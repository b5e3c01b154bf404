import { glob, readFile } from "node:fs/promises";
import path from "node:path";
import { type Declarations, declarationsOf } from "./declarations.ts";
import { moduleMistakes, parameterMistakes } from "./modules.ts";
import { bodyMistakes, type ResourceType } from "./resource-types.ts";
import { symbolMistakes } from "./symbols.ts";
import { bicepReader, lineOf, type Mistake, type Source } from "./syntax.ts";

/** What check/import-types.ts keeps of Azure's published types. */
export type KeptTypes = { source: string; resources: Record<string, ResourceType> };

export type Checked = { files: number; resources: number; mistakes: Mistake[] };
type Unit = { source: Source; declared: Declarations };

/** Reads every Bicep file below `directory`, by path from there. */
export async function readUnits(directory: string): Promise<Map<string, Unit>> {
  const read = await bicepReader();
  const units = new Map<string, Unit>();
  const files = await Array.fromAsync(glob("**/*.{bicep,bicepparam}", { cwd: directory, exclude: ["node_modules"] }));
  for (const name of files.sort()) {
    const source = { ...(await read(path.join(directory, name))), file: name };
    source.mistakes = source.mistakes.map((mistake) => ({ ...mistake, file: name }));
    units.set(name, { source, declared: declarationsOf(source) });
  }
  return units;
}

/**
 * What a compiler would say first, without one: grammar, names, what modules take and give, and every property of every
 * resource against Azure's types. It knows no types of expressions.
 */
export async function checkDirectory(directory: string, kept: KeptTypes): Promise<Checked> {
  const units = await readUnits(directory);
  const broken = [...units.values()].flatMap(({ source }) => source.mistakes);
  const all = [...units.values()].flatMap(({ declared }) => declared.resources);
  if (broken.length > 0) return { files: units.size, resources: all.length, mistakes: broken };
  const mistakes = [...units].flatMap(([name, unit]) =>
    name.endsWith(".bicepparam") ? parametersOf(name, unit, units) : mistakesOf(name, unit, units, kept),
  );
  return { files: units.size, resources: all.length, mistakes };
}

function mistakesOf(name: string, { source, declared }: Unit, units: Map<string, Unit>, kept: KeptTypes): Mistake[] {
  const mistakes = symbolMistakes(source, declared);
  const targets = new Map<string, Declarations>();
  for (const module of declared.modules) {
    const target = units.get(path.normalize(path.join(path.dirname(name), module.path)));
    if (target) targets.set(module.name, target.declared);
    else mistakes.push({ file: name, line: module.line, text: `there is no ${module.path}` });
  }
  const found = { ...declared, modules: declared.modules.filter((module) => targets.has(module.name)) };
  mistakes.push(...moduleMistakes(source, found, targets));
  for (const { type, existing, body, line } of declared.resources) {
    const known = Object.hasOwn(kept.resources, type) ? kept.resources[type] : undefined;
    if (known === undefined)
      mistakes.push({
        file: name,
        line,
        text: `${type} is not kept: there is no such type, or run check/import-types.ts`,
      });
    else if (!existing)
      for (const { node, text } of bodyMistakes(known, body)) mistakes.push({ file: name, line: lineOf(node), text });
  }
  return mistakes;
}

/** A parameter file against the template that it is for. */
function parametersOf(name: string, { source, declared }: Unit, units: Map<string, Unit>): Mistake[] {
  const using = source.root.descendantsOfType("using_statement")[0]?.text.match(/'(.*)'/)?.[1] ?? "";
  const target = units.get(path.normalize(path.join(path.dirname(name), using)));
  if (!target) return [{ file: name, line: 1, text: `there is no ${using || "using"}` }];
  const given = declared.variables.map((variable) => variable.name);
  return parameterMistakes(name, 1, given, target.declared.parameters);
}

export const readKeptTypes = async (): Promise<KeptTypes> =>
  JSON.parse(await readFile(new URL("../generated/resource-types.json", import.meta.url), "utf8"));
