import { expect, test, vi } from "vitest";

// A machine without the native half: importing the package throws, as it does when the addon was never built.
vi.mock("@tensorflow/tfjs-node", () => {
  throw new Error("The Node.js native addon module can not be found.\nPlease run command");
});
const { loadTensorFlow } = await import("./load.ts");

test("without native TensorFlow, WASM computes, and says why and what to do", async () => {
  const { tf, backend, fallbackReason } = await loadTensorFlow();
  expect(backend.name).toBe("tensorflow-wasm");
  expect(fallbackReason).toMatch(
    /^Native TensorFlow does not load \(.*npm run setup.*the WASM backend serves until then/s,
  );
  expect([...tf.tidy(() => tf.matMul(tf.ones([1, 3]), tf.ones([3, 1])).dataSync())]).toEqual([3]);
});

test("who insists on native is told that it does not load", async () => {
  await expect(loadTensorFlow({ backend: "native" })).rejects.toThrow(/does not load .*or choose the WASM backend/s);
});

test("who asks for WASM gets it without a reason", async () => {
  expect(await loadTensorFlow({ backend: "wasm" })).not.toHaveProperty("fallbackReason");
});
