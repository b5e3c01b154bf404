import type { Node } from "web-tree-sitter";
import type { Declarations, Parameter } from "./declarations.ts";
import { lineOf, type Mistake, propertiesOf, type Source } from "./syntax.ts";

/** What a file gives its modules, and takes of them. @param targets the modules' own declarations, by symbol */
export function moduleMistakes(
  { file, root }: Source,
  { modules }: Declarations,
  targets: ReadonlyMap<string, Declarations>,
): Mistake[] {
  const mistakes: Mistake[] = [];
  for (const { name, body, line } of modules) {
    const params = propertiesOf(body).find((property) => property.name === "params")?.value;
    const given = params === undefined ? [] : propertiesOf(params).map((property) => property.name!);
    mistakes.push(...parameterMistakes(file, line, given, targets.get(name)!.parameters));
  }
  for (const { module, output, node } of outputsIn(root)) {
    const target = targets.get(module);
    if (target && !target.outputs.includes(output))
      mistakes.push({ file, line: lineOf(node), text: `module ${module} has no output ${output}` });
  }
  return mistakes;
}

/** What is given and not declared, and what is declared without a default and not given. */
export function parameterMistakes(
  file: string,
  line: number,
  given: readonly string[],
  declared: readonly Parameter[],
): Mistake[] {
  const names = declared.map(({ name }) => name);
  return [
    ...given
      .filter((name) => !names.includes(name))
      .map((name) => ({ file, line, text: `${name} is no parameter; there are ${names.join(", ")}` })),
    ...declared
      .filter(({ name, required }) => required && !given.includes(name))
      .map(({ name }) => ({ file, line, text: `parameter ${name} is missing` })),
  ];
}

/** Each `module.outputs.name`. */
const outputsIn = (root: Node) =>
  root.descendantsOfType("member_expression").flatMap((node) => {
    const [, module, output] = /^(\w+)\.outputs\.(\w+)$/.exec(node.text) ?? [];
    return module === undefined || output === undefined ? [] : [{ module, output, node }];
  });
