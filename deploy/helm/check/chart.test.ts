import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { SYSTEM_USER } from "@millrace/contracts/nats-users";
import { SERVICE_NAMES, USERS } from "@millrace/contracts/permissions";
import { expect, test } from "vitest";
import { natsUsers } from "../generate.ts";
import { ROOT, text, yaml } from "./files.ts";

/** As the nats chart writes it: `<< >>` is taken off, with the quotes. */
const asConfig = (values: unknown) => JSON.stringify(values).replaceAll(/"<<\s+(.*?)\s+>>"/g, "$1");

test("nats-server takes the generated users, with passwords from the environment", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-helm-"));
  try {
    const file = path.join(directory, "nats.conf");
    const { config, container } = natsUsers();
    writeFileSync(file, asConfig({ ...config.merge, jetstream: { store_dir: directory } }));
    const passwords = Object.keys(container.env).map((name) => [name, "p0123456789abcdef"]);
    const given = (env: Record<string, string>) =>
      execFileSync("nats-server", ["-t", "-c", file], { env: { PATH: process.env.PATH!, ...env }, stdio: "pipe" });
    given(Object.fromEntries(passwords));
    expect(() => given({})).toThrow(/NATS_PASSWORD/);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("each user has a password of its own, from the Secret that the chart's services read", () => {
  const users = [...Object.keys(USERS), SYSTEM_USER];
  const keys = Object.values(natsUsers().container.env).map(({ valueFrom }) => valueFrom.secretKeyRef);
  const { nats } = yaml("millrace/values.yaml") as { nats: { passwords: { secret: string } } };
  expect(keys.map(({ key }) => key).sort()).toEqual(users.sort());
  expect(new Set(keys.map(({ name }) => name))).toEqual(new Set([nats.passwords.secret]));
});

test("the chart has values for every service", () => {
  expect(Object.keys(yaml("millrace/values.yaml") as object)).toEqual(expect.arrayContaining([...SERVICE_NAMES]));
});

test("the backlog is asked of series and labels that the keeper shows", () => {
  const page = readFileSync(path.join(ROOT, "docs/api/metrics.md"), "utf8");
  const labelsOf = new Map(
    [...page.matchAll(/^\| `(millrace_\w+)` \| \w+ \| (.*?) \|/gm)].map(([, name, labels]) => [name!, labels!]),
  );
  const asked = new Set(text("millrace/templates/scaled-objects.yaml").match(/millrace_\w+/g));
  expect([...asked].sort()).toEqual([
    "millrace_consumer_ack_pending",
    "millrace_consumer_pending",
    "millrace_stream_messages",
  ]);
  for (const name of asked) expect(labelsOf.has(name)).toBe(true);
  for (const name of ["millrace_consumer_ack_pending", "millrace_consumer_pending"])
    for (const label of ["stream", "consumer"]) expect(labelsOf.get(name)).toContain(`\`${label}\``);
});

test("no template and no values say that an image is the latest", () => {
  for (const file of ["millrace/values.yaml", "nats-values.yaml", "examples/aks.yaml", "examples/plain.yaml"])
    expect(text(file)).not.toMatch(/:\s*latest\b/);
});
