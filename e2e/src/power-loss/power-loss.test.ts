import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { whyNoPowerLoss } from "./power-loss-disk.ts";
import { keepsItsWord, losePowerRepeatedly, type PowerLossOptions } from "./run.ts";

const missing = whyNoPowerLoss();
if (missing !== undefined) console.warn(`power loss is not tried: ${missing}`);
const where = missing === undefined ? "" : ` (skipped: ${missing})`;

const seed = Number(process.env.MILLRACE_SEED ?? 20_260);
const short: PowerLossOptions = { rounds: 3, seed, clients: 32, directories: "ordered", syncInterval: "always" };

test.skipIf(missing)(`the disk keeps what was synced, and may lose the rest${where}`, async () => {
  const cwd = fileURLToPath(new URL("../../power-loss", import.meta.url));
  await promisify(execFile)("go", ["test", "-mod=readonly", "./..."], { cwd });
});

test.skipIf(missing)(`what was accepted survives a loss of power${where}`, async () => {
  const books = await losePowerRepeatedly(short);
  expect(books).toMatchObject({ rounds: 3, accepted_lost: [], outcomes_lost: 0, without_outcome: [], twice: [] });
  expect(books.accepted).toBeGreaterThan(50);
  expect(books.outcomes_acknowledged).toBeGreaterThan(0);
  expect(keepsItsWord(books)).toBe(true);
});

test.skipIf(missing)(
  `with nats-server's default sync_interval it does not, so the test would see it${where}`,
  async () => {
    const books = await losePowerRepeatedly({ ...short, rounds: 1, syncInterval: "periodic" });
    expect(books.accepted).toBeGreaterThan(0);
    expect(books.accepted_lost.length).toBeGreaterThan(0);
    expect(keepsItsWord(books)).toBe(false);
  },
);
