import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { readSecret } from "./secret.ts";

it("reads from the environment and from a file, and says where nothing was", async () => {
  vi.stubEnv("A_SECRET", "s3");
  expect(await readSecret({ env: "A_SECRET" })).toBe("s3");
  const file = join(mkdtempSync(join(tmpdir(), "secret-")), "key");
  writeFileSync(file, "from-file\n", { mode: 0o600 });
  expect(await readSecret({ file })).toBe("from-file");
  await expect(readSecret({ env: "NO_SECRET" })).rejects.toThrow("environment variable NO_SECRET");
  vi.unstubAllEnvs();
});
