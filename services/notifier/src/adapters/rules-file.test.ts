import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { ConfigError } from "@millrace/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readRules } from "./rules-file.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), "millrace-rules-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const read = (text: string) => {
  const file = path.join(dir, "rules.yaml");
  writeFileSync(file, text);
  return readRules(file, { ALARM_SECRET: SECRET, BAD_SECRET: "hush-hush" });
};
const mistakes = (text: string): readonly string[] => {
  try {
    read(text);
  } catch (cause) {
    if (cause instanceof ConfigError) return cause.mistakes;
    throw cause;
  }
  return [];
};

test("YAML and JSON give the same rules", () => {
  const yaml = read(`
rules:
  - name: alarm
    model: failure-risk
    when: { output: failure_probability, op: ">=", value: 0.8 }
    webhook: { url: https://example.com/hook, secret: { env: ALARM_SECRET } }
`);
  expect(yaml).toMatchObject([{ name: "alarm", model: "failure-risk", when: { op: ">=", value: 0.8 } }]);
  expect(yaml[0]!.secret).toEqual({ env: "ALARM_SECRET" });
  writeFileSync(path.join(dir, "secret"), `${SECRET}\n`);
  const json = read(
    JSON.stringify({
      rules: [
        {
          name: "alarm",
          model: "failure-risk",
          when: { output: "failure_probability", op: ">=", value: 0.8 },
          webhook: { url: "https://example.com/hook", secret: { file: path.join(dir, "secret") } },
        },
      ],
    }),
  );
  expect(json).toEqual([{ ...yaml[0], secret: { file: path.join(dir, "secret") } }]);
});

test("no file means no rules", () => {
  expect(readRules(undefined, {})).toEqual([]);
  expect(readRules(path.join(dir, "absent.yaml"), {})).toEqual([]);
});

test("every mistake is named at once, and no secret shown", () => {
  const found = mistakes(`
rules:
  - name: one
    webhook: { url: "ftp://example.com", secret: { env: NOT_SET } }
  - name: one
    webhook: { url: "https://user:pass@example.com", secret: { env: BAD_SECRET } }
  - name: three
    webhook: { url: "https://example.com", secret: { file: /does/not/exist } }
  - name: four
    webhook: { url: "https://example.com", secret: { keyVault: "https://vault/keys/one" } }
`).join("\n");
  for (const part of [
    "not an http",
    "NOT_SET",
    "another rule has this name",
    "holds a password",
    "BAD_SECRET",
    "/does/not/exist",
    'rule "four": a Key Vault secret is named',
  ])
    expect(found).toContain(part);
  expect(found).not.toContain("hush-hush");
});

test("what does not fit the schema is named with its place", () => {
  const found = mistakes(`
rules:
  - name: "no.dots"
    wen: {}
    when: { output: x, op: "=>", value: high }
    webhook: { url: "https://example.com", secret: {} }
`).join("\n");
  for (const place of ["/rules/0/name", "/rules/0/when/op", "/rules/0/when/value", "/rules/0/webhook/secret"])
    expect(found).toContain(place);
  expect(found).toContain("additional");
  expect(mistakes("rules: [")).not.toEqual([]);
});
