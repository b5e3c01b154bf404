import assert from "node:assert/strict";
import fs from "node:fs";
import test from "node:test";
import { inRoot } from "../setup/paths.mjs";
import { MUTATIONS } from "./list.ts";

test("every mutation names a step that stands exactly once where it says, and a test that is there", () => {
  for (const { name, file, find, replace, test: caughtBy } of MUTATIONS) {
    assert.equal(fs.readFileSync(inRoot(file), "utf8").split(find).length - 1, 1, `${name}: ${find} in ${file}`);
    assert.notEqual(find, replace, name);
    assert.ok(fs.existsSync(inRoot(caughtBy)), `${name}: ${caughtBy}`);
  }
  assert.equal(new Set(MUTATIONS.map(({ name }) => name)).size, MUTATIONS.length);
});
