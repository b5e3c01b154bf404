/**
 * The bridge under trouble for as long as you like: `pnpm trouble [minutes] [kind…]`. Each kind of trouble lasts that long
 * while outcomes come; then everything has to arrive, unaltered, once, and in order inside its session. The short form is
 * `trouble.test.ts`. Exit status 1 when the books of one do not balance.
 */
import { surroundings } from "./surroundings.ts";
import { TROUBLED_ROUTE, underTrouble } from "./trouble.ts";

const [minutes = "10", ...wanted] = process.argv.slice(2);
const durationMs = Math.round(Number(minutes) * 60_000);
if (!(durationMs >= 1_000 && durationMs <= 3_600_000))
  throw new Error(`"${minutes}" is not a number of minutes up to 60`);

/** Of a namespace that is busy for minutes nothing else is learned than of an outage. */
const TROUBLES: Readonly<Record<string, object>> = {
  drops: { kind: "drop-connection", everyMs: 1_000, durationMs },
  links: { kind: "drop-link", everyMs: 1_000, durationMs },
  busy: { kind: "server-busy", operations: ["send"], durationMs: Math.min(durationMs, 30_000) },
  unsure: { kind: "lose-send-confirmation", probability: 0.05, seed: 7, durationMs },
  slow: { kind: "delay", ms: 1_000, durationMs },
  outage: { kind: "refuse", durationMs },
};
const unknown = wanted.filter((name) => !Object.hasOwn(TROUBLES, name));
if (unknown.length > 0)
  throw new Error(`there is no ${unknown.join(", ")}: choose among ${Object.keys(TROUBLES).join(", ")}`);

for (const name of wanted.length > 0 ? wanted : Object.keys(TROUBLES)) {
  await using around = await surroundings();
  await around.startServiceBus();
  await around.startBridge({ ROUTES_FILE: await around.routesFile([TROUBLED_ROUTE]) });
  const load = { seconds: durationMs / 1_000, perSecond: 100, sessions: 50 };
  const books = await underTrouble(around, load, () => around.fault(name, TROUBLES[name]!));
  const { stored, ...wrong } = books;
  const balanced = stored > 0 && Object.values(wrong).every((count) => count === 0);
  if (!balanced) process.exitCode = 1;
  console.info(JSON.stringify({ trouble: name, struck: await around.struck(name), balanced, ...books }));
}
