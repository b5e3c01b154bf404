import { STREAMS } from "@millrace/contracts";
import type { Bus } from "../bus.ts";
import { type Books, openBooks } from "./books.ts";
import { type Broker, createBroker } from "./broker.ts";
import { connectSimulated } from "./client.ts";
import { NO_FAULTS, TROUBLE_MS } from "./faults.ts";
import { createLink, type Link } from "./link.ts";
import type { Random } from "./random.ts";
import type { Scenario } from "./scenario.ts";
import { inWorld, type Process, type World } from "./world.ts";

/** One run: a world with a broker, processes of the real code, and what befalls them. */
export type Simulation = {
  readonly world: World;
  readonly broker: Broker;
  readonly books: Books;
  readonly scenario: Scenario;
  /**
   * A service with replicas: each is started again whenever it dies, and stopped in good order at times. What `main`
   * gives is disposed then.
   */
  service(name: string, replicas: number, main: (bus: Bus, self: Process) => Promise<AsyncDisposable>): void;
  /** Somebody with something to do: started again when it dies, until `main` ends. The run lasts until then. */
  errand(name: string, main: (bus: Bus, self: Process) => Promise<void>): void;
  /** The run also lasts until this holds. */
  until(holds: () => boolean): void;
};

export type Report = {
  trace: string;
  /** Virtual time that passed. */
  lasted_ms: number;
  /** How often what came up. */
  counts: ReadonlyMap<string, number>;
};

/** The longest that a process is paused, or cut off. */
const AWAY_MS_MAX = 30_000;
/** From here on no trouble is left, and none of what it left behind but its messages. */
const QUIET_MS = TROUBLE_MS + AWAY_MS_MAX + 1_000;
/** Retries of a delivery take up to a quarter of an hour, poison 20 ack waits; the rest is generous. */
const LIMIT_MS = 4 * 3_600_000;
/** Longer than the ack wait: what is forgotten would come back. */
const REST_MS = 12_000;
const LOOK_MS = 200;
const NOTES_SHOWN = 60;

/**
 * Runs a scenario to its end and checks the books.
 * @throws Error naming the promise that was broken, with what happened last
 */
export function simulate(scenario: Scenario, build: (simulation: Simulation) => void): Promise<Report> {
  return inWorld(scenario.seed, async (world) => {
    const broker = createBroker(world, { streams: STREAMS, replicated: scenario.replicated });
    broker.faults = scenario.faults;
    const books = openBooks(world, broker, { quiet_ms: QUIET_MS });
    const chance = world.random("trouble");
    const running = new Map<Process, Running>();
    const conditions: (() => boolean)[] = [];
    let deaths = scenario.deaths;
    let errands = 0;

    const start = (role: string, main: Main, generation = 1) => {
      const again = () => world.schedule(100 + chance.next() * 2_000, () => start(role, main, generation + 1));
      const process = world.start(`${role}#${generation}`, (self) => main(busOf(self), self), {
        clock_off_ms: scenario.clock_jumps > 0 ? chance.integer(-5_000, 5_000) : 0,
        ...(deaths > 0 && troubled() ? { fuse: chance.integer(1, scenario.fuse_max) } : {}),
        died(self) {
          running.get(self)?.link.died();
          running.delete(self);
          if (self.stopping) return again();
          if (troubled()) deaths--;
          again();
        },
      });
      const link = createLink(world, broker, process);
      const busOf = (self: Process) =>
        connectSimulated(world, {
          user: role,
          process: self,
          link,
          broker,
          watch: books,
          batchMin: scenario.batch_min,
        });
      running.set(process, { link, stop: undefined });
    };
    const troubled = () => world.now_ms < TROUBLE_MS;

    const simulation: Simulation = {
      world,
      broker,
      books,
      scenario,
      service(name, replicas, main) {
        for (let replica = 1; replica <= replicas; replica++)
          start(`${name}-${replica}`, async (bus, self) => {
            const held = await main(bus, self).catch((cause: unknown) => {
              if ((cause as { code?: string }).code !== "TIMEOUT") throw cause;
              self.kill(); // a service that cannot reach the broker at its start exits, and is started again
            });
            if (!held) return;
            const entry = running.get(self);
            if (entry) entry.stop = async () => await held[Symbol.asyncDispose]();
          });
      },
      errand(name, main) {
        errands++;
        let done = false;
        start(name, async (bus, self) => {
          await main(bus, self);
          if (!done) errands--; // a timer of its connection may kill it once more when its work is done
          done = true;
          running.delete(self);
        });
      },
      until: (holds) => void conditions.push(holds),
    };
    build(simulation);
    befall(simulation, chance, running);
    world.schedule(TROUBLE_MS, () => {
      world.note("the trouble is over");
      broker.faults = { ...NO_FAULTS };
      for (const process of running.keys()) process.defuse();
    });

    const drained = () => [...broker.durables.values()].every(({ waiting, unacked }) => waiting + unacked === 0);
    const atRest = () => errands === 0 && conditions.every((holds) => holds()) && drained();
    const broken = () => books.violations.length > 0;
    try {
      let look_at = 0;
      let rest_at = Number.POSITIVE_INFINITY;
      await world.turn({
        until() {
          if (broken()) return true;
          if (world.now_ms < look_at) return false;
          look_at = world.now_ms + LOOK_MS;
          if (!atRest()) rest_at = Number.POSITIVE_INFINITY;
          else if (rest_at === Number.POSITIVE_INFINITY) rest_at = world.now_ms + REST_MS;
          return world.now_ms >= rest_at;
        },
        limit_ms: LIMIT_MS,
        stuck: () => `not at rest: ${errands} errands, ${openOf(broker)}`,
      });
      if (!broken()) books.close();
      if (broken()) throw new Error(books.violations.join("\n"));
    } catch (cause) {
      const told = world.notes.slice(-NOTES_SHOWN).join("\n  ");
      throw new Error(
        `${(cause as Error).message}\n\nscenario: ${JSON.stringify(scenario)}\nwhat happened last:\n  ${told}`,
        {
          cause,
        },
      );
    }
    return { trace: world.trace, lasted_ms: world.now_ms, counts: world.counts };
  });
}

type Main = (bus: Bus, self: Process) => Promise<void>;
type Running = { link: Link; stop: (() => Promise<void>) | undefined };

/** Lets the scenario's blows fall, each at its time on whoever runs then. */
function befall({ world, broker, scenario }: Simulation, chance: Random, running: Map<Process, Running>) {
  const someone = () => {
    const all = [...running.keys()];
    return all.length > 0 ? chance.pick(all) : undefined;
  };
  const times = (count: number, blow: () => void) => {
    for (let n = 0; n < count; n++) world.schedule(chance.next() * TROUBLE_MS, blow);
  };
  times(scenario.kills, () => someone()?.kill());
  times(scenario.pauses, () => someone()?.pause(chance.integer(1_000, AWAY_MS_MAX)));
  times(scenario.clock_jumps, () => {
    const process = someone();
    if (process) process.clock_off_ms += chance.integer(-3_600_000, 3_600_000);
  });
  times(scenario.cuts, () => {
    const process = someone();
    if (process) running.get(process)?.link.cut(chance.integer(200, 25_000));
  });
  times(scenario.restarts, () => {
    broker.restart();
    for (const { link } of running.values()) link.cut(chance.integer(100, 3_000));
  });
  times(scenario.full_times, () => {
    const before = broker.faults;
    world.note("the streams are full");
    broker.faults = { ...before, full: 1 };
    world.schedule(chance.integer(500, 8_000), () => {
      if (broker.faults.full === 1) broker.faults = { ...broker.faults, full: scenario.faults.full };
    });
  });
  times(scenario.stops, () => {
    const process = someone();
    const stop = process && running.get(process)?.stop;
    if (!stop) return;
    world.note(`${process.name} is asked to stop`);
    process.stopping = true;
    world.schedule(
      0,
      () => {
        stop().then(
          () => process.kill(),
          () => process.kill(),
        );
      },
      process,
    );
  });
}

const openOf = (broker: Broker) =>
  [...broker.durables.values()]
    .filter(({ waiting, unacked }) => waiting + unacked > 0)
    .map((durable) => `${durable.name}: ${durable.waiting} waiting, ${durable.unacked} unacknowledged`)
    .join("; ") || "all durables are drained";
