import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { modelFolders } from "./model-folders.ts";

test("entries are models or hold models; anything else is named", async () => {
  const root = await mkdtemp(path.join(tmpdir(), "millrace-models-"));
  try {
    for (const name of ["shop/a", "shop/b", "alone"]) {
      await mkdir(path.join(root, name), { recursive: true });
      await writeFile(path.join(root, name, "manifest.json"), "{}");
    }
    await mkdir(path.join(root, "shop/src"));
    const of = (...names: string[]) => names.map((name) => path.join(root, name));
    expect(await modelFolders(of("shop", "alone").join(":"))).toEqual(of("shop/a", "shop/b", "alone"));
    expect(await modelFolders(of("alone", "shop/b").join(", "))).toEqual(of("alone", "shop/b"));
    await expect(modelFolders(of("shop/src", "nowhere").join(":"))).rejects.toThrow(
      /hold no model: .*shop\/src has no manifest.json.*; .*nowhere has no manifest.json/,
    );
  } finally {
    await rm(root, { recursive: true });
  }
});
