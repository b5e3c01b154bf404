import { cpSync, existsSync, globSync, lstatSync, mkdirSync, readlinkSync, symlinkSync } from "node:fs";
import path from "node:path";
import { nodeFileTrace } from "@vercel/nft";

const MODULES = `${path.sep}node_modules${path.sep}`;

/**
 * Copies packages with everything they need at run time into `out/node_modules`, in the package manager's own layout, and
 * links them where the bundle looks for them.
 * @param files the module of each package that is imported
 * @param further glob patterns of files that no trace finds, by package name
 */
export async function copyPackages(
  files: readonly string[],
  further: Readonly<Record<string, readonly string[]>>,
  out: string,
): Promise<void> {
  if (files.length === 0) return;
  const root = files[0]!.slice(0, files[0]!.indexOf(MODULES));
  const { fileList } = await nodeFileTrace([...files], { base: root });
  for (const file of fileList) place(root, file, out);
  for (const file of files) {
    const { name, folder } = packageOf(file);
    for (const found of globSync([...(further[name] ?? [])], { cwd: folder }))
      place(root, path.relative(root, path.join(folder, found)), out);
    const link = path.join(out, "node_modules", name);
    if (existsSync(link)) continue;
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(path.relative(path.dirname(link), path.join(out, path.relative(root, folder))), link);
  }
}

/** Copies one file of a package to where it is resolved from, with the package.json that it is resolved by. */
export function copyAsset(asset: string, file: string, out: string): void {
  const { name, folder } = packageOf(file);
  for (const [to, from] of [
    [asset, file],
    [path.join(name, "package.json"), path.join(folder, "package.json")],
  ] as const)
    cpSync(from, path.join(out, "node_modules", to));
}

function place(root: string, file: string, out: string): void {
  const [from, to] = [path.join(root, file), path.join(out, file)];
  if (existsSync(to)) return;
  mkdirSync(path.dirname(to), { recursive: true });
  const stat = lstatSync(from);
  if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
  else if (stat.isFile()) cpSync(from, to);
}

/** The innermost package that a file belongs to. */
function packageOf(file: string): { name: string; folder: string } {
  const at = file.lastIndexOf(MODULES) + MODULES.length;
  const [first, second] = file.slice(at).split(path.sep);
  const name = first!.startsWith("@") ? `${first}/${second}` : first!;
  return { name, folder: path.join(file.slice(0, at), ...name.split("/")) };
}
