import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { compile, compilerVersion } from "./compiler.ts";

/** A compiler that says what a shell script says. */
async function withCompiler<T>(script: string | undefined, run: () => Promise<T>): Promise<T> {
  const bin = await mkdtemp(path.join(tmpdir(), "millrace-bicep-bin-"));
  const before = process.env.PATH;
  try {
    if (script !== undefined) {
      await writeFile(path.join(bin, "bicep"), `#!/bin/sh\n${script}\n`);
      await chmod(path.join(bin, "bicep"), 0o755);
    }
    process.env.PATH = script === undefined ? bin : `${bin}:${before}`;
    return await run();
  } finally {
    process.env.PATH = before;
    await rm(bin, { recursive: true });
  }
}

test("no compiler on PATH is said, not taken for a success", async () => {
  expect(await withCompiler(undefined, compilerVersion)).toBeUndefined();
  expect(await withCompiler("echo Bicep CLI version 0.49.2", compilerVersion)).toBe("Bicep CLI version 0.49.2");
});

test("a warning of the compiler is a mistake although it ends with 0, and an end without a word is one too", async () => {
  const warning = "main.bicep(3,1) : Warning no-unused-params: Parameter is declared but never used.";
  expect(await withCompiler(`echo '${warning}' >&2`, () => compile("/nowhere/"))).toEqual([warning]);
  expect(await withCompiler("exit 1", () => compile("/nowhere/"))).toHaveLength(3);
  expect(await withCompiler("exit 0", () => compile("/nowhere/"))).toEqual([]);
});
