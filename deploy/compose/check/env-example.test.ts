import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { composeFiles, defaultsOf, ROOT, variablesOf } from "./compose-files.ts";

/** Name and value of each line `#NAME=value`. */
const documented = new Map(
  [...readFileSync(path.join(ROOT, ".env.example"), "utf8").matchAll(/^#?([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
    ([, name, value]) => [name!, value!] as const,
  ),
);

test("every variable that a compose file reads is in .env.example, and no other", () => {
  const read = new Set(composeFiles().flatMap(variablesOf));
  expect([...documented.keys()].sort()).toEqual([...read].sort());
});

test("the value in .env.example is the default, everywhere the same", () => {
  const wrong = composeFiles().flatMap((file) =>
    [...defaultsOf(file)].flatMap(([name, values]) =>
      // An absent vault is "none" for `prepare`.
      [...values]
        .filter((value) => value !== documented.get(name) && value !== "none")
        .map((value) => `${name}=${value}`),
    ),
  );
  expect(wrong).toEqual([]);
});

test("nothing secret has a default", () => {
  const secrets = composeFiles().flatMap((file) =>
    [...defaultsOf(file).keys()].filter((name) => /PASSWORD|SECRET|KEY$|EULA/.test(name)),
  );
  expect(secrets).toEqual([]);
});
