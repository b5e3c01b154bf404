/**
 * node check/import-types.ts CHECKOUT: keeps what the files here use of Azure's published types, in resource-types.json.
 * CHECKOUT is a clone of github.com/Azure/bicep-types-az. Run it when a resource, a version or a nested object is new.
 */
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import type { Node } from "web-tree-sitter";
import { readUnits } from "./check.ts";
import type { ObjectType, Property, ResourceType } from "./resource-types.ts";
import { bodyOf, literal, propertiesOf } from "./syntax.ts";

/** Azure's own form: one array per provider and version, whose entries refer to each other by index. */
type Ref = { $ref: string };
type Azure = {
  $type: string;
  name?: string;
  value?: string;
  body?: Ref;
  itemType?: Ref;
  elements?: Ref[] | Record<string, Ref>;
  properties?: Record<string, { type: Ref; flags: number }>;
  baseProperties?: Record<string, { type: Ref; flags: number }>;
  additionalProperties?: Ref;
  discriminator?: string;
};

const [REQUIRED, READ_ONLY] = [1, 2];
const SCALARS: Readonly<Record<string, ResourceType>> = {
  StringType: "string",
  IntegerType: "int",
  BooleanType: "bool",
};

const [checkout] = process.argv.slice(2);
if (checkout === undefined) throw new Error("Say where github.com/Azure/bicep-types-az is checked out.");
const git = (...args: string[]) =>
  execFileSync("git", ["-C", checkout, ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "ignore"],
  });
const paths = git("ls-tree", "-r", "--name-only", "HEAD", "generated")
  .split("\n")
  .filter((name) => name.endsWith("/types.json"));

const bodies = new Map<string, Node[]>();
for (const { declared } of (await readUnits(new URL("..", import.meta.url).pathname)).values())
  for (const { type, existing, body } of declared.resources)
    bodies.set(type, [...(bodies.get(type) ?? []), ...(existing ? [] : [body])]);

const resources: Record<string, ResourceType> = {};
for (const [type, nodes] of [...bodies].sort(([a], [b]) => (a < b ? -1 : 1))) resources[type] = await kept(type, nodes);
const source = `github.com/Azure/bicep-types-az@${git("rev-parse", "HEAD").trim()}`;
const lines = Object.entries(resources).map(([type, kept]) => `    ${JSON.stringify(type)}: ${JSON.stringify(kept)}`);
await writeFile(
  new URL("../generated/resource-types.json", import.meta.url),
  `{\n  "source": ${JSON.stringify(source)},\n  "resources": {\n${lines.join(",\n")}\n  }\n}\n`,
);

/** A provider's types may be in several folders. */
async function kept(type: string, nodes: Node[]): Promise<ResourceType> {
  const [name, version] = type.toLowerCase().split("@") as [string, string];
  for (const file of paths.filter((it) => it.endsWith(`/${name.split("/")[0]}/${version}/types.json`))) {
    const all = JSON.parse(git("show", `HEAD:${file}`)) as Azure[];
    const resource = all.find((it) => it.$type === "ResourceType" && it.name!.toLowerCase() === type.toLowerCase());
    if (resource) return nodes.length === 0 ? "any" : pick(all, resource.body!, nodes);
  }
  throw new Error(`${type} is not among Azure's types.`);
}

/** @param nodes every value that the files give it; what none of them sets is not followed */
function pick(all: Azure[], { $ref }: Ref, nodes: Node[]): ResourceType {
  const type = all[Number($ref.slice("#/".length))]!;
  const scalar = SCALARS[type.$type];
  if (scalar !== undefined) return scalar;
  if (type.$type === "StringLiteralType") return { oneOf: [type.value!] };
  if (type.$type === "UnionType") return union(all, type.elements as Ref[]);
  const values = nodes.flatMap(writtenOut);
  if (type.$type === "ArrayType")
    return {
      items: pick(
        all,
        type.itemType!,
        values.filter(({ type: is }) => is === "array").flatMap((it) => it.namedChildren),
      ),
    };
  const objects = values.filter(({ type: is }) => is === "object");
  if (type.$type === "ObjectType") return objects.length === 0 ? "unkept" : objectOf(all, type, objects);
  if (type.$type !== "DiscriminatedObjectType") return "any";
  const by = type.discriminator!;
  const variants: Record<string, ObjectType> = {};
  for (const [value, ref] of Object.entries(type.elements as Record<string, Ref>)) {
    const chosen = objects.filter((it) => literal(propertiesOf(it).find(({ name }) => name === by)?.value) === value);
    const own = all[Number(ref.$ref.slice("#/".length))]!;
    const properties = { ...type.baseProperties, ...own.properties };
    variants[value] = objectOf(all, { ...own, properties }, chosen);
  }
  return { by, variants };
}

function union(all: Azure[], elements: Ref[]): ResourceType {
  const types = elements.map((ref) => pick(all, ref, []));
  const texts = types.flatMap((it) => (typeof it === "object" && "oneOf" in it ? it.oneOf : []));
  const isOpen = types.includes("string");
  return texts.length + (isOpen ? 1 : 0) < types.length ? "any" : { oneOf: texts, ...(isOpen && { open: true }) };
}

function objectOf(all: Azure[], type: Azure, objects: Node[]): ObjectType {
  const given = objects.flatMap(propertiesOf);
  const properties: Record<string, Property> = {};
  for (const [name, { type: ref, flags }] of Object.entries(type.properties ?? {})) {
    const readOnly = (flags & READ_ONLY) !== 0;
    const values = given.filter((it) => it.name === name).map(({ value }) => value);
    properties[name] = {
      type: readOnly ? "any" : pick(all, ref, values),
      ...((flags & REQUIRED) !== 0 && { required: true }),
      ...(readOnly && { readOnly: true }),
    };
  }
  const others = type.additionalProperties;
  const unnamed = given.filter(({ name }) => name === undefined || !Object.hasOwn(properties, name));
  return {
    properties,
    ...(others && {
      others: pick(
        all,
        others,
        unnamed.map(({ value }) => value),
      ),
    }),
  };
}

/** The objects and arrays that a value is, in either branch. */
function writtenOut(value: Node): Node[] {
  const node = bodyOf(value);
  if (node.type !== "ternary_expression") return [node];
  return ["consequence", "alternative"].flatMap((part) => writtenOut(node.childForFieldName(part)!));
}
