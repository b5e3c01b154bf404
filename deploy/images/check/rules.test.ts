import { expect, test } from "vitest";
import { type Image, type ImageFile, mistakesIn } from "./rules.ts";

const label = (name: string) => [`org.opencontainers.image.${name}`, "something"] as const;

const good: Image = {
  name: "millrace/keeper:dev",
  bytesAboveBase: 2_000_000,
  user: "10001:10001",
  entrypoint: ["node"],
  healthcheck: ["CMD", "node", "health.js"],
  env: ["PATH=/usr/bin", "NODE_ENV=production", "NATS_PASSWORD_FILE=/config/nats-password"],
  labels: Object.fromEntries(["title", "description", "licenses", "version", "revision", "created"].map(label)),
  history: ["COPY /out/app /app", "ENV NODE_ENV=production"],
  files: [
    { path: "app/main.js", mode: 0o644, text: 'const hint = "SharedAccessKey=<key>";' },
    { path: "app/sbom.cdx.json", mode: 0o644, text: "{}" },
    { path: "app/node_modules/long/index.d.ts", mode: 0o644, text: "" },
  ],
};
const file = (path: string, text = "", mode = 0o644): ImageFile => ({ path, mode, text });
const withFile = (...args: Parameters<typeof file>): Image => ({ ...good, files: [...good.files, file(...args)] });

test("an image that keeps the rules has no mistakes", () => {
  expect(mistakesIn(good)).toEqual([]);
});

const KEY = `-----BEGIN RSA PRIVATE KEY-----\n${"MIIEpAIBAAKCAQEA".repeat(4)}\n`;

test.each<[string, Image, RegExp]>([
  ["root", { ...good, user: "" }, /runs as ""/],
  ["root by number", { ...good, user: "0:0" }, /runs as "0:0"/],
  ["a user by name, whose number nobody sees", { ...good, user: "node" }, /runs as "node"/],
  ["a shell as entry point", { ...good, entrypoint: ["/bin/sh", "-c", "node main.js"] }, /without a shell/],
  ["a shell that another program starts", { ...good, entrypoint: ["busybox", "sh", "-c", "x"] }, /without a shell/],
  ["a shell that env finds", { ...good, entrypoint: ["/usr/bin/env", "bash"] }, /without a shell/],
  ["no entry point", { ...good, entrypoint: [] }, /without a shell/],
  ["a health check by shell", { ...good, healthcheck: ["CMD-SHELL", "curl localhost"] }, /HEALTHCHECK/],
  ["a shell in a health check's exec form", { ...good, healthcheck: ["CMD", "sh", "-c", "x"] }, /HEALTHCHECK/],
  ["no health check", { ...good, healthcheck: [] }, /HEALTHCHECK/],
  ["setuid", withFile("app/tool", "", 0o4755), /app\/tool runs with the rights/],
  ["a missing label", { ...good, labels: {} }, /image\.revision/],
  ["no list of contents", { ...good, files: [] }, /sbom/],
  ["size", { ...good, bytesAboveBase: 61_000_000 }, /61 MB above its base, 60 at most/],
  ["a secret in the environment", { ...good, env: ["NATS_PASSWORD=hunter2"] }, /gives NATS_PASSWORD a value/],
  ["a secret in a build step", { ...good, history: ["ARG NPM_TOKEN=abc"] }, /gives NPM_TOKEN a value/],
  ["a file for secrets", withFile("app/.env"), /app\/\.env is a file for secrets/],
  ["a registry's settings", withFile("root/.npmrc", "//host/:_authToken=abc"), /registry's token/],
  ["a data directory", withFile("app/.millrace/run.json"), /\.millrace\/run\.json/],
  ["a private key", withFile("app/key.txt", KEY), /a private key/],
  ["a private key in JSON", withFile("app/key.json", JSON.stringify({ key: KEY })), /a private key/],
  ["a Service Bus key", withFile("app/a.js", `SharedAccessKey=${"Ab1+".repeat(10)}`), /a Service Bus key/],
  ["a webhook's secret", withFile("app/a.js", `whsec_${"Ab1+".repeat(8)}`), /a webhook's secret/],
  ["a package manager's cache", withFile("root/.npm/_cacache/x"), /package manager's cache/],
  ["tests", withFile("app/main.test.js"), /a test of ours/],
  ["source", withFile("app/src/main.ts"), /source of ours/],
])("%s is a mistake", (_, image, expected) => {
  expect(mistakesIn(image).join("\n")).toMatch(expected);
});

test("an example of settings is no secret, and inference may carry TensorFlow", () => {
  expect(mistakesIn(withFile("app/.env.example", "#TOKEN="))).toEqual([]);
  expect(mistakesIn({ ...good, name: "millrace/inference:1.0", bytesAboveBase: 470_000_000 })).toEqual([]);
});
