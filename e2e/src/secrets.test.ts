import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { eventually, startMillrace } from "@millrace/testkit";
import { expect, test } from "vitest";

test("services enter Azure by their identities; no key is in the bridge's environment, no secret or token in any log", async () => {
  await using millrace = await startMillrace({ demo: true, env: { LOG_LEVEL: "trace" } });
  const { dataDir } = millrace;
  // The notification is signed with a secret of Key Vault; the topic is reached with a token.
  const ends = async () => {
    for (const end of ["notification", "Service Bus"])
      expect(millrace.output()).toMatch(new RegExp(`^  ${end} +m`, "m"));
  };
  await eventually(ends, { within_ms: 60_000 });

  const environment = readFileSync(`/proc/${millrace.run.processes.bridge}/environ`, "utf8");
  expect(environment).toContain("SERVICEBUS_NAMESPACE=localhost:");
  expect(environment).not.toContain(read(dataDir, "secrets", "servicebus"));

  await millrace.kill("azure");
  await eventually(() =>
    expect(
      logs(dataDir)
        .get("azure.log")
        ?.match(/"listening"/g),
    ).toHaveLength(2),
  );

  const kept = readdirSync(path.join(dataDir, "secrets")).map((name) => read(dataDir, "secrets", name));
  const vault = JSON.parse(read(dataDir, "azure", "secrets.json")) as { versions: { value: string }[] }[];
  const secrets = [...kept, ...vault.flatMap(({ versions }) => versions.map(({ value }) => value))];
  expect(secrets.length).toBeGreaterThan(10);
  const everything = [...logs(dataDir).values(), millrace.output()].join("\n");
  expect(secrets.filter((secret) => everything.includes(secret.replace(/^Authorization: Bearer /, "")))).toEqual([]);
  expect(everything).not.toMatch(/eyJ[\w-]{10,}\.|SharedAccessKey=|sig=|whsec_/);
});

const read = (...parts: string[]) => readFileSync(path.join(...parts), "utf8").trim();

const logs = (dataDir: string) =>
  new Map(readdirSync(path.join(dataDir, "logs")).map((name) => [name, read(dataDir, "logs", name)]));
