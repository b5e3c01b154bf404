import { answer, connectBus, openBus } from "@millrace/bus";
import { CHECK_SUBJECT } from "@millrace/contracts";
import { runService } from "@millrace/kit";
import { Config, milliseconds } from "./config.ts";
import { Pace } from "./domain/pace.ts";
import { checker } from "./handlers/check.ts";
import { durabilityChecker } from "./handlers/durability.ts";
import { every } from "./handlers/every.ts";
import { judgesOf } from "./handlers/judges.ts";
import { look as lookAt } from "./handlers/look.ts";
import { retain } from "./handlers/retention.ts";
import { sweep } from "./handlers/sweep.ts";
import { keeperMetrics } from "./metrics.ts";

/** The keeper: what the broker guarantees, what may go, what has lost its way, and whether the books balance. */
await runService("keeper", Config, async (scope) => {
  const { config, log, signal } = scope;
  const metrics = keeperMetrics(scope.metrics);
  const system = scope.use(
    await connectBus({
      url: config.NATS_URL,
      user: config.NATS_SYSTEM_USER,
      password: config.NATS_SYSTEM_PASSWORD,
      log,
    }),
  );
  let look = async () => {};
  const bus = await openBus(scope, {
    // Measured before it is judged: what stands in the bucket may be of another day.
    async connected(bus) {
      const checkDurability = durabilityChecker({ bus, system, declared: config.DURABILITY, metrics, log });
      look = async () => void (await checkDurability());
      await look();
    },
  });
  scope.use(bus.onReconnect(() => void look().catch((err: unknown) => log.warn({ err }, "durability is not known"))));
  scope.use(every("durability checker", config.DURABILITY_EVERY_MS, scope, look));

  const times = {
    requests_ms: milliseconds(config.REQUESTS_RETENTION),
    outcomes_ms: milliseconds(config.OUTCOMES_RETENTION),
    events_ms: milliseconds(config.EVENTS_RETENTION),
  };
  for (const stream of judgesOf(bus, times)) {
    const pace = new Pace(config.RETENTION_DELETES_PER_S);
    const pass = () => retain({ bus, ...stream, pace, metrics, log, signal });
    scope.use(every(`retention of ${stream.stream}`, config.RETENTION_EVERY_MS, scope, pass));
  }
  const redrive_after_ms = config.REDRIVE_AFTER_MS;
  scope.use(
    every("sweeper", config.SWEEP_EVERY_MS, scope, () => sweep({ bus, metrics, log, signal, redrive_after_ms })),
  );

  scope.use(every("look at the streams", config.LOOK_EVERY_MS, scope, () => lookAt({ bus, metrics })));

  const books = { bus, system, metrics, log, signal, standing_ms: config.STANDING_MS };
  scope.use(answer(bus, CHECK_SUBJECT, checker(books)));
  // Of its own: who asks gets books that were begun after the question, not the rest of these.
  const reading = checker(books);
  const readBooks = async () => void (await reading());
  // When all start at once, audit has not begun to answer: that is no finding.
  const first_after_ms = Math.min(config.STANDING_MS, config.CHECK_EVERY_MS);
  scope.use(every("reading of the books", config.CHECK_EVERY_MS, scope, readBooks, first_after_ms));
  await bus.nc.flush(); // ready means that questions are heard
});
