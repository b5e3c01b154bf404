import path from "node:path";
import { expect, test } from "vitest";
import { conformance } from "./conformance.ts";
import { loadTensorFlow, openModel } from "./index.ts";

conformance("wasm");

test("a SavedModel on WASM is refused with a word on what to do", async () => {
  const { tf } = await loadTensorFlow({ backend: "wasm" });
  const folder = path.join(import.meta.dirname, "../fixtures/saved-model");
  await expect(openModel(folder, tf)).rejects.toThrow(/needs native TensorFlow.*npm run setup.*layers model/);
});
