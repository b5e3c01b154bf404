import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { composeFiles, ROOT, readCompose } from "./compose-files.ts";
import { mistakesIn } from "./rules.ts";

test("our files keep the rules", () => {
  expect(composeFiles().flatMap(mistakesIn)).toEqual([]);
});

test("what breaks a rule is named with its place", () => {
  const text = `
services:
  bad:
    image: somebody/something:latest
    privileged: true
    container_name: bad
    ports: ["8080:8080"]
    volumes: ["config-bridge:/config"]
`;
  expect(mistakesIn({ name: "x.yaml", ...readCompose(text) })).toEqual(
    [
      "drops not all capabilities",
      "may gain privileges",
      "is given privileges",
      "has no mem_limit",
      "has no cpus",
      "has no pids_limit",
      "has no logging",
      "has no restart",
      "has no stop_grace_period",
      "does not run as a numbered user other than root",
      "may write to its root file system",
      "somebody/something:latest is no exact version",
      "8080:8080 is published on all",
      "has a container_name, so it cannot be scaled",
      "sees the configuration of bridge",
      "may write to config-bridge",
    ].map((mistake) => `x.yaml: bad: ${mistake}`),
  );
});

test("SQL Server has the one capability that its file asks for, and nobody else has any", () => {
  const given = (image: string, capability: string) =>
    mistakesIn({
      name: "x.yaml",
      ...readCompose(`{ services: { it: { image: "${image}", cap_add: [${capability}] } } }`),
    }).filter((mistake) => mistake.endsWith("is given privileges")).length;
  const sqlServer = "mcr.microsoft.com/mssql/server:2022-CU14-ubuntu-22.04";
  expect(given(sqlServer, "NET_BIND_SERVICE")).toBe(0);
  expect(given(sqlServer, "SYS_ADMIN")).toBe(1);
  expect(given("nats:2.15.1-alpine", "NET_BIND_SERVICE")).toBe(1);
});

test("the image of prepare has a folder for each volume that it mounts, which then belongs to its user", () => {
  const { bundle } = JSON.parse(readFileSync(path.join(ROOT, "packages/local/package.json"), "utf8"));
  const mounted = composeFiles().flatMap(({ services }) =>
    (services.prepare?.volumes ?? []).flatMap((volume) => /:\/volumes\/([a-z0-9-]+)$/.exec(volume)?.[1] ?? []),
  );
  expect(bundle.volumes).toEqual(mounted.sort());
});

test("every volume of configuration is filled by prepare and read by one process", () => {
  const [main] = composeFiles();
  const filled = main!.services
    .prepare!.volumes!.map((volume) => volume.split(":")[0]!)
    .filter((it) => /^config-/.test(it));
  const declared = Object.keys(main!.volumes).filter((it) => /^config-/.test(it));
  expect(filled.sort()).toEqual(declared.sort());
});
