import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Language, type Node, Parser } from "web-tree-sitter";

/** A mistake in a file, by its line from 1. */
export type Mistake = { file: string; line: number; text: string };

/** A parsed file; `mistakes` are those of its grammar. */
export type Source = { file: string; root: Node; mistakes: Mistake[] };

/** Reads Bicep by its published tree-sitter grammar, which needs no compiler. */
export async function bicepReader(): Promise<(file: string) => Promise<Source>> {
  await Parser.init();
  const grammar = fileURLToPath(import.meta.resolve("tree-sitter-bicep/tree-sitter-bicep.wasm"));
  const parser = new Parser();
  parser.setLanguage(await Language.load(await readFile(grammar)));
  return async (file) => {
    const text = await readFile(file, "utf8");
    // The grammar knows no parameter files: what these assign reads like variables.
    const { rootNode: root } = parser.parse(file.endsWith(".bicepparam") ? text.replace(/^param /gm, "var ") : text)!;
    return { file, root, mistakes: grammarMistakes(file, root) };
  };
}

function grammarMistakes(file: string, root: Node): Mistake[] {
  if (!root.hasError) return [];
  const broken = root.descendantsOfType("ERROR").concat(missing(root));
  return broken.map((node) => ({
    file,
    line: lineOf(node),
    text: node.isMissing ? `"${node.type}" is missing` : `this is no Bicep: ${node.text.slice(0, 60)}`,
  }));
}

const missing = (node: Node): Node[] =>
  node.isMissing ? [node] : node.hasError ? node.children.flatMap((child) => missing(child)) : [];

export const lineOf = (node: Node): number => node.startPosition.row + 1;

/** The text of a string without placeholders; undefined of anything else. */
export function literal(node: Node | undefined): string | undefined {
  if (node?.type !== "string" || node.namedChildren.some(({ type }) => type === "interpolation")) return undefined;
  return node.text.slice(1, -1).replaceAll(/\\(.)/g, "$1");
}

/** What a declaration or property is, behind its loop, its condition or brackets. */
export function bodyOf(node: Node): Node {
  if (node.type === "for_statement") return bodyOf(node.childForFieldName("body")!);
  if (node.type === "if_statement") return bodyOf(last(node));
  if (node.type === "parenthesized_expression") return bodyOf(node.namedChildren[0]!);
  return node;
}

/** The properties of an object, without resources that are nested in it. */
export const propertiesOf = (object: Node): { name: string | undefined; value: Node; node: Node }[] =>
  object.namedChildren
    .filter(({ type, namedChildCount }) => type === "object_property" && namedChildCount === 2)
    .map((node) => {
      const [key, value] = node.namedChildren as [Node, Node];
      return { name: key.type === "identifier" ? key.text : literal(key), value, node };
    });

/** The resources that are declared in a resource's body. */
export const nestedIn = (object: Node): Node[] =>
  object.namedChildren.flatMap(({ namedChildren: [only] }) => (only?.type === "resource_declaration" ? [only] : []));

export const last = (node: Node): Node => node.namedChildren.at(-1)!;
