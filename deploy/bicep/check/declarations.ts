import type { Node } from "web-tree-sitter";
import { bodyOf, last, lineOf, literal, nestedIn, type Source } from "./syntax.ts";

export type Parameter = { name: string; required: boolean; line: number };
/** `type` is in full, with its version. */
export type Resource = { name: string; type: string; existing: boolean; body: Node; line: number };
export type Module = { name: string; path: string; body: Node; line: number };

/** What a file declares at its top level, and the resources nested in others. */
export type Declarations = {
  parameters: Parameter[];
  /** Variables, also the assignments of a parameter file. */
  variables: { name: string; line: number }[];
  /** By the name that they have here. */
  imports: { name: string; line: number }[];
  types: string[];
  outputs: string[];
  resources: Resource[];
  modules: Module[];
};

export function declarationsOf({ root }: Source): Declarations {
  const of = (type: string) => root.namedChildren.filter((node) => node.type === type);
  const named = (node: Node) => ({ name: nameOf(node), line: lineOf(node) });
  return {
    parameters: of("parameter_declaration").map((node) => ({
      ...named(node),
      required: node.namedChildCount === 2 && node.namedChildren[1]!.namedChildren[0]?.type !== "nullable_type",
    })),
    variables: of("variable_declaration").map(named),
    imports: of("import_functionality").flatMap(importsOf),
    types: of("type_declaration").map(nameOf),
    outputs: of("output_declaration").map(nameOf),
    resources: of("resource_declaration").flatMap((node) => resourcesOf(node)),
    modules: of("module_declaration").map((node) => ({
      ...named(node),
      path: literal(node.namedChildren[1])!,
      body: bodyOf(last(node)),
    })),
  };
}

const nameOf = (node: Node): string => node.namedChildren[0]!.text;

/** `import { a as b, c } from …`: a name counts unless `as` gives it another. */
function importsOf(node: Node): { name: string; line: number }[] {
  const { children } = node;
  return children
    .filter(({ type }, at) => type === "identifier" && children[at + 1]?.type !== "as")
    .map((name) => ({ name: name.text, line: lineOf(name) }));
}

function resourcesOf(node: Node, parent?: Resource): Resource[] {
  const written = literal(node.namedChildren[1])!;
  const [parentType, version] = parent?.type.split("@") ?? [];
  const resource: Resource = {
    name: nameOf(node),
    type: parent ? `${parentType}/${written}@${version}` : written,
    existing: node.children.some(({ type }) => type === "existing"),
    body: bodyOf(last(node)),
    line: lineOf(node),
  };
  return [resource, ...nestedIn(resource.body).flatMap((nested) => resourcesOf(nested, resource))];
}
