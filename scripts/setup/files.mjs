// Small file operations that leave either the old state or the new one, never half of each.
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

/** SHA-256 over names and contents, so that a renamed or missing file changes it too. */
export function digestOf(files) {
  const hash = createHash("sha256");
  for (const file of [...files].sort()) {
    hash.update(`${file}\0`).update(fs.existsSync(file) ? fs.readFileSync(file) : "missing");
  }
  return hash.digest("hex");
}

export function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"));
  } catch {
    return undefined; // absent or cut short: both mean "not done"
  }
}

export function writeJson(file, value) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  fs.writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`);
  fs.renameSync(draft, file);
}

/** Points `link` at `target`, replacing whatever was there in one step. */
export function placeLink(target, link) {
  fs.mkdirSync(path.dirname(link), { recursive: true });
  const draft = `${link}.${process.pid}`;
  fs.rmSync(draft, { force: true });
  fs.symlinkSync(target, draft);
  fs.renameSync(draft, link);
}

/** Hard link where the file systems allow it (no second copy on disk), a copy where they do not. */
export function placeFile(source, target) {
  fs.mkdirSync(path.dirname(target), { recursive: true });
  const draft = `${target}.${process.pid}`;
  fs.rmSync(draft, { force: true });
  try {
    fs.linkSync(source, draft);
  } catch {
    fs.copyFileSync(source, draft);
  }
  fs.renameSync(draft, target);
}

/**
 * Fills a directory beside `target` and renames it into place once `fill` has succeeded.
 * An interrupted run leaves only a draft, which `sweepDrafts` removes.
 */
export async function buildDirectory(target, fill) {
  const draft = `${target}.draft-${process.pid}`;
  fs.rmSync(draft, { recursive: true, force: true });
  fs.mkdirSync(draft, { recursive: true });
  try {
    await fill(draft);
    fs.rmSync(target, { recursive: true, force: true });
    fs.renameSync(draft, target);
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

/** Removes drafts that interrupted runs left in `directory`, from `older_than_ms` ago on: younger ones may be at work. */
export function sweepDrafts(directory, older_than_ms) {
  if (!fs.existsSync(directory)) return;
  for (const name of fs.readdirSync(directory)) {
    const file = path.join(directory, name);
    if (!name.includes(".draft-") || Date.now() - fs.statSync(file).mtimeMs < older_than_ms) continue;
    fs.rmSync(file, { recursive: true, force: true });
  }
}
