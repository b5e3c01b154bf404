import { readFileSync } from "node:fs";

/** The base of every stage of a Dockerfile that is no stage itself, build arguments filled in with their defaults. */
export function basesOf(dockerfile: string): string[] {
  const text = readFileSync(dockerfile, "utf8");
  const args = new Map(
    [...text.matchAll(/^ARG\s+(\w+)=("?)(.*)\2\s*$/gim)].map(([, name, , value]) => [name!, value!]),
  );
  const fill = (text: string) => text.replaceAll(/\$\{?(\w+)\}?/g, (whole, name: string) => args.get(name) ?? whole);
  for (const [name, value] of args) args.set(name, fill(value)); // an argument may name those before it
  const stages = [...text.matchAll(/^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?/gim)];
  const names = new Set(stages.map(([, , name]) => name));
  return [...new Set(stages.map(([, image]) => fill(image!)))].filter(
    (image) => !names.has(image) && image !== "scratch",
  );
}
