import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { readWanted } from "./routes-file.ts";

test("the routes file that the guide shows is one", async () => {
  const guide = await readFile(new URL("../../../../docs/enterprise-guide.md", import.meta.url), "utf8");
  const [, yaml = ""] = /```yaml\n(.*?)```/s.exec(guide) ?? [];
  const directory = await mkdtemp(path.join(tmpdir(), "millrace-guide-"));
  const file = path.join(directory, "routes.yaml");
  await writeFile(file, yaml);
  expect(await readWanted(file)).toMatchObject([
    {
      name: "predictions",
      settings: { duplicate_detection_s: 3_600, size_max_mb: 5_120 },
      subscriptions: [{ name: "warehouse" }, { name: "alerts", settings: { lock_s: 120 }, rules: [{ name: "risky" }] }],
    },
    { name: "readings", settings: { sessions: true } },
  ]);
  await rm(directory, { recursive: true });
});
