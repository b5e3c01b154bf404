import type { Node } from "web-tree-sitter";
import type { Declarations } from "./declarations.ts";
import { lineOf, type Mistake, type Source } from "./syntax.ts";

/** Names that nobody declares, and parameters, variables and imports that nobody uses. */
export function symbolMistakes({ file, root }: Source, declared: Declarations): Mistake[] {
  const { parameters, variables, imports, types, resources, modules } = declared;
  const known = new Set(
    [parameters, variables, imports, resources, modules].flatMap((of) => of.map(({ name }) => name)).concat(types),
  );
  const used = new Set<string>();
  const mistakes: Mistake[] = [];
  const use = (node: Node, local: ReadonlySet<string>): void => {
    if (local.has(node.text)) return;
    used.add(node.text);
    if (!known.has(node.text)) mistakes.push({ file, line: lineOf(node), text: `${node.text} is declared nowhere` });
  };
  for (const node of root.namedChildren) {
    if (node.type === "import_functionality" || node.type === "decorators" || node.type === "metadata_declaration")
      continue;
    for (const child of node.namedChildren.slice(DECLARES.has(node.type) ? 1 : 0)) walk(child, new Set(), use);
  }
  for (const { name, line } of [...parameters, ...variables, ...imports])
    if (!used.has(name)) mistakes.push({ file, line, text: `${name} is used nowhere` });
  return mistakes;
}

/** Their first child is the name that they give. */
const DECLARES = new Set([
  "parameter_declaration",
  "variable_declaration",
  "output_declaration",
  "type_declaration",
  "resource_declaration",
  "module_declaration",
]);

type Use = (node: Node, local: ReadonlySet<string>) => void;

function walk(node: Node, local: ReadonlySet<string>, use: Use): void {
  if (node.type === "identifier") use(node, local);
  else {
    const { nodes, names = [] } = insideOf(node);
    const scope = names.length > 0 ? new Set([...local, ...names]) : local;
    for (const child of nodes) walk(child, scope, use);
  }
}

/** Where names are used in a node, and which ones it gives there itself. */
function insideOf(node: Node): { nodes: readonly Node[]; names?: string[] } {
  const nodes = node.namedChildren;
  const [first, ...rest] = nodes as [Node, ...Node[]];
  switch (node.type) {
    case "decorators":
      return { nodes: [] };
    case "object_property": // without a value it is a nested resource
      return { nodes: rest.length > 0 && first.type === "identifier" ? rest : nodes };
    case "resource_declaration":
      return { nodes: rest };
    case "call_expression": // what is called is a function
      return { nodes: nodes.filter(({ id }) => id !== node.childForFieldName("function")?.id) };
    case "resource_expression": // behind `::` is a nested resource's name
      return { nodes: [first] };
    case "lambda_expression":
      return { nodes: nodes.slice(-1), names: nodes.slice(0, -1).map(({ text }) => text) };
    case "for_statement":
      return {
        nodes: rest,
        names: first.type === "identifier" ? [first.text] : first.namedChildren.map(({ text }) => text),
      };
    default:
      return { nodes };
  }
}
