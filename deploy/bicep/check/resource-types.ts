import type { Node } from "web-tree-sitter";
import { bodyOf, literal, propertiesOf } from "./syntax.ts";

/**
 * A type of Azure's resource manager, of those that resource-types.json keeps: what the files here set, with every property
 * that could stand beside it. `unkept` stands for an object that no file sets.
 */
export type ResourceType =
  | "any"
  | "unkept"
  | "string"
  | "int"
  | "bool"
  /** `open`: other texts are taken too. */
  | { oneOf: string[]; open?: true }
  | { items: ResourceType }
  | ObjectType
  /** Which of the variants it is, a property says. */
  | { by: string; variants: Record<string, ObjectType> };
export type ObjectType = { properties: Record<string, Property>; others?: ResourceType };
export type Property = { type: ResourceType; required?: true; readOnly?: true };

/** Said on every resource, whatever its type. */
const ON_EVERY_RESOURCE = new Set(["parent", "scope", "dependsOn"]);

type Found = { node: Node; text: string };

/** What is wrong with the body of a resource. */
export const bodyMistakes = (type: ResourceType, body: Node): Iterable<Found> =>
  valueMistakes(type, body, "", ON_EVERY_RESOURCE);

/** Only what is written out can be checked; a variable or a call is taken as it is. */
function* valueMistakes(type: ResourceType, given: Node, at: string, besides = NOTHING): Generator<Found> {
  const node = bodyOf(given);
  const wanted = kindOf(type);
  const is = KINDS[node.type];
  if (node.type === "ternary_expression")
    for (const part of ["consequence", "alternative"])
      yield* valueMistakes(type, node.childForFieldName(part)!, at, besides);
  else if (is === undefined || wanted === undefined) return;
  else if (is !== wanted) yield { node, text: `${at}: ${wanted} is wanted, not ${is}` };
  else if (type === "unkept") yield { node, text: `${at} is not kept: run check/import-types.ts` };
  else if (typeof type === "string") return;
  else if ("oneOf" in type) yield* textMistakes(type, node, at);
  else if ("items" in type)
    for (const [index, item] of node.namedChildren.entries()) yield* valueMistakes(type.items, item, `${at}[${index}]`);
  else yield* objectMistakes(type, node, at, besides);
}

const NOTHING: ReadonlySet<string> = new Set();

const KINDS: Readonly<Record<string, string>> = {
  object: "object",
  array: "array",
  string: "string",
  number: "int",
  boolean: "bool",
};

/** Undefined: of any kind. */
function kindOf(type: ResourceType): string | undefined {
  if (type === "any") return undefined;
  if (type === "unkept") return "object";
  return typeof type === "string" ? type : "oneOf" in type ? "string" : "items" in type ? "array" : "object";
}

function* textMistakes({ oneOf, open }: { oneOf: string[]; open?: true }, node: Node, at: string): Generator<Found> {
  const text = literal(node);
  if (text !== undefined && !open && !oneOf.includes(text))
    yield { node, text: `${at}: '${text}' is none of ${oneOf.join(", ")}` };
}

function* objectMistakes(
  type: ObjectType | { by: string; variants: Record<string, ObjectType> },
  node: Node,
  at: string,
  besides: ReadonlySet<string>,
): Generator<Found> {
  const given = propertiesOf(node);
  const path = (name: string) => (at === "" ? name : `${at}.${name}`);
  if ("by" in type) {
    const variant = literal(given.find(({ name }) => name === type.by)?.value) ?? "";
    if (Object.hasOwn(type.variants, variant)) yield* objectMistakes(type.variants[variant]!, node, at, besides);
    else yield { node, text: `${path(type.by)} is none of ${Object.keys(type.variants).join(", ")}` };
    return;
  }
  for (const { name, value, node: property } of given) {
    if (name === undefined || besides.has(name)) continue; // a key with a placeholder
    const known = Object.hasOwn(type.properties, name) ? type.properties[name] : undefined;
    const kept = known?.type ?? type.others;
    if (known?.readOnly) yield { node: property, text: `${path(name)} can only be read` };
    else if (kept !== undefined) yield* valueMistakes(kept, value, path(name));
    else {
      const names = Object.keys(type.properties).join(", ");
      yield { node: property, text: `${path(name)} is no property; there are ${names}` };
    }
  }
  for (const [name, { required }] of Object.entries(type.properties))
    if (required && !given.some((it) => it.name === name)) yield { node, text: `${path(name)} is missing` };
}
