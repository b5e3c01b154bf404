import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { startMillrace } from "@millrace/testkit";
import { expect, test } from "vitest";

const CLI = fileURLToPath(new URL("../../packages/cli/bin/millrace.mjs", import.meta.url));

test("azure plan and apply manage the namespace by managed identity, and by the run file; neither the bridge nor a stranger may", async () => {
  await using millrace = await startMillrace();
  const { serviceBus, azure } = millrace.run;
  const [, namespace = ""] = /sb:\/\/([^;/]+)/.exec(serviceBus.connectionString) ?? [];
  const routes = path.join(millrace.dataDir, "more-routes.yaml");
  await writeFile(
    routes,
    "routes: [{ name: predictions, topic: predictions }, { name: dead, state: dead, queue: operations }]",
  );
  const identity = { IDENTITY_ENDPOINT: azure.identity.endpoint, IDENTITY_HEADER: azure.identity.header };
  const asMyself = { ...identity, NODE_EXTRA_CA_CERTS: azure.certificateFile };

  const plan = await cli(["azure", "plan", "--routes", routes, "--namespace", namespace], asMyself);
  expect(plan.error).toBe("");
  expect(plan.out).toContain("+ create queue operations");
  expect(plan.code).toBe(4);
  const apply = await cli(["azure", "apply", "--yes", "--routes", routes, "--namespace", namespace], asMyself);
  expect(apply).toMatchObject({ code: 0, out: expect.stringContaining("done 1/1: create queue operations") });
  const again = await cli(["azure", "plan", "--routes", routes, "--data", millrace.dataDir], {});
  expect(again).toMatchObject({ code: 0, out: expect.stringContaining("Nothing to do.") });

  const bridge = await readFile(path.join(millrace.dataDir, "secrets/identity-bridge"), "utf8");
  for (const header of [bridge.trim(), "nobody"]) {
    const other = { ...asMyself, IDENTITY_HEADER: header };
    const refused = await cli(["azure", "plan", "--routes", routes, "--namespace", namespace], other);
    expect(refused).toMatchObject({ code: 1, error: expect.stringContaining("does not let you manage it") });
    expect(refused.error).not.toContain(header);
  }
});

/** The command line as a process of its own, with this environment alone. */
const cli = (args: string[], env: Record<string, string>): Promise<{ code: number; out: string; error: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args], { env: { PATH: process.env.PATH, ...env } }, (failure, out, error) =>
      resolve({ code: failure ? Number(failure.code) : 0, out, error }),
    );
  });
