import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { basesOf } from "./dockerfile.ts";

const argument = (name: string) => `\${${name}}`;

test("the bases of a Dockerfile are its images that are no stage, with arguments filled in", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "millrace-bases-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, "Dockerfile");
  const lines = [
    "ARG VERSION=1.2.3",
    `ARG IMAGE="node:${argument("VERSION")}-slim"`,
    `FROM --platform=linux/amd64 ${argument("IMAGE")} AS base`,
    "FROM base AS built",
    "FROM busybox:1.36.1 AS tools",
    "FROM scratch",
  ];
  writeFileSync(file, lines.join("\n"));
  expect(basesOf(file)).toEqual(["node:1.2.3-slim", "busybox:1.36.1"]);
});

test("our own Dockerfile has one base, of an exact version", () => {
  const [base, ...others] = basesOf(path.resolve(import.meta.dirname, "../../../Dockerfile"));
  expect(base).toMatch(/^node:24\.\d+\.\d+-bookworm-slim$/);
  expect(others).toEqual([]);
});
