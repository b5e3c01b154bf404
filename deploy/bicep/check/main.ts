/**
 * pnpm deploy:bicep: checks deploy/bicep, and says by what. Where the compiler is on PATH it builds and lints, and a warning is
 * a mistake; our own check runs everywhere.
 */
import { checkDirectory, readKeptTypes } from "./check.ts";
import { compile, compilerVersion } from "./compiler.ts";

const directory = new URL("..", import.meta.url).pathname;

const kept = await readKeptTypes();
const { files, resources, mistakes } = await checkDirectory(directory, kept);
for (const { file, line, text } of mistakes) console.error(`deploy/bicep/${file}:${line}: ${text}`);
console.log(`${files} files, ${resources} resources: ${mistakes.length} mistakes, by the grammar and ${kept.source}.`);

const version = await compilerVersion();
const said = version === undefined ? [] : await compile(directory);
for (const line of said) console.error(line);
console.log(
  version === undefined
    ? "The Bicep compiler is not on PATH: types of expressions are not checked. `az bicep install` brings it."
    : `${version}: ${said.length} errors and warnings.`,
);
if (mistakes.length + said.length > 0) process.exitCode = 1;
