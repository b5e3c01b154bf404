import { consumeOutcomes, openBus } from "@millrace/bus";
import { consumerName } from "@millrace/contracts";
import { runService } from "@millrace/kit";
import { readRules } from "./adapters/rules-file.ts";
import { openWebhook } from "./adapters/webhook.ts";
import { openWebhookKeys } from "./adapters/webhook-keys.ts";
import { Config, privateReceivers } from "./config.ts";
import { CHANNEL, onOutcomeStored } from "./handlers/outcome-stored.ts";
import { notifierMetrics } from "./metrics.ts";

/** Attempts under way at one receiver: BATCH_MAX × CONCURRENCY. */
const BATCH_MAX = 16;
const CONCURRENCY = 2;
/**
 * Past this an outcome is taken for what kills the process. Each failed attempt is a delivery, too, and restarts while
 * a receiver is away must not add up to it.
 */
const DELIVERIES_MAX = 100;

await runService("notifier", Config, async (scope) => {
  const { config, log } = scope;
  const rules = readRules(config.RULES_FILE, process.env);
  const receivers = privateReceivers(config);
  const bus = await openBus(scope);
  const metrics = notifierMetrics(scope.metrics);
  for (const rule of rules) {
    let unread: string | undefined;
    const keys = scope.use(
      openWebhookKeys(rule, {
        onTrouble(why) {
          unread = why;
          if (why === undefined) log.info({ rule: rule.name }, "the webhook's secret can be read again");
          else log.warn({ rule: rule.name, why }, "the webhook's secret cannot be read; what was read before is used");
        },
      }),
    );
    const webhook = scope.use(openWebhook(rule, { timeout_ms: config.WEBHOOK_TIMEOUT_MS, private: receivers, keys }));
    const handle = onOutcomeStored({ bus, rule, webhook, metrics, log });
    const { name, tenant, project, model, state } = rule;
    const consumption = scope.use(
      await consumeOutcomes(
        bus,
        {
          durable: consumerName.notifier(name),
          filter: given({ tenant, project, model, state }),
          begin: "new",
          // A rule without a condition tells of each outcome: one that is not on record was not told of.
          records: rule.when ? "some" : "each",
          batch_max: BATCH_MAX,
          concurrency: CONCURRENCY,
          deliveries_max: DELIVERIES_MAX,
          effect: { channel: CHANNEL, destination: name },
        },
        (outcomes) => Promise.all(outcomes.map(handle)),
      ),
    );
    scope.health.check(`rule ${name}`, () =>
      consumption.healthy ? { ok: true } : { ok: false, detail: "not consuming" },
    );
    scope.health.check(`secret of ${name}`, () =>
      unread === undefined ? { ok: true } : { ok: false, detail: unread },
    );
  }
  log.info({ rules: rules.map(({ name }) => name) }, "rules are in force");
});

function given<T extends object>(of: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof given<T>
  >;
}
