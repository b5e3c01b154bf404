import { expect, test } from "vitest";
import { BrokerConfigError } from "./config.ts";
import { planNamespace } from "./planning.ts";

const withQueue = (properties: unknown, name = "work") => ({
  UserConfig: {
    Namespaces: [{ Name: "n", Queues: [{ Name: name, Properties: properties }] }],
    Logging: { Type: "File" },
  },
});

function mistakesOf(config: unknown): readonly string[] {
  try {
    planNamespace(config);
  } catch (error) {
    if (error instanceof BrokerConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

test("the official emulator's own settings are understood, with Azure's defaults for the rest", () => {
  const plan = planNamespace(
    withQueue({
      DeadLetteringOnMessageExpiration: true,
      DefaultMessageTimeToLive: "PT1H",
      DuplicateDetectionHistoryTimeWindow: "PT20S",
      ForwardDeadLetteredMessagesTo: "",
      ForwardTo: "",
      RequiresDuplicateDetection: true,
      RequiresSession: false,
    }),
  );
  expect(plan.queues[0]).toEqual({
    name: "work",
    sendDisabled: false,
    assignsMessageIds: false,
    settings: {
      lockDurationMs: 60_000,
      maxDeliveryCount: 10,
      defaultTtlMs: 3_600_000,
      deadLetterExpired: true,
      requiresSession: false,
      maxBytes: 1024 ** 3,
      receiveDisabled: false,
    },
    duplicateWindowMs: 20_000,
    maxMessageBytes: 262_144,
  });
});

test("every mistake in the form is named, with where it stands", () => {
  const mistakes = mistakesOf(withQueue({ LockDuration: "1 minute", MaxDeliveryCount: 0, LockDurations: "PT1M" })).join(
    "\n",
  );
  expect(mistakes).toContain("/LockDuration:");
  expect(mistakes).toContain("/MaxDeliveryCount:");
  expect(mistakes).toContain("LockDurations");
});

test("every mistake in the meaning is named: what is not supported is refused rather than ignored", () => {
  const config = {
    UserConfig: {
      Namespaces: [
        {
          Queues: [
            { Name: "a", Properties: { RequiresSession: true, LockDuration: "PT6M" } },
            { Name: "A", Properties: { ForwardTo: "b" } },
            {
              Name: "c",
              Properties: {
                AutoDeleteOnIdle: "PT4M",
                AuthorizationRules: [{ KeyName: "k", Rights: ["Manage"], PrimaryKey: "x" }],
              },
            },
          ],
          Topics: [
            {
              Name: "t",
              Properties: { DuplicateDetectionHistoryTimeWindow: "PT1S" },
              Subscriptions: [
                {
                  Name: "s",
                  Rules: [
                    { Name: "r", Properties: { SqlFilter: { SqlExpression: "x >" } } },
                    { Name: "R", Properties: { Action: { SqlExpression: "x = 1" } } },
                  ],
                },
              ],
            },
          ],
        },
      ],
    },
  };
  expect(mistakesOf(config)).toEqual([
    "Queues and Topics: the name A is used twice (names ignore case)",
    "Queues/a: LockDuration must be longer than 0 and at most 5 minutes",
    "Queues/c: AutoDeleteOnIdle must be at least 5 minutes",
    "Queues/c: AuthorizationRules/k: Manage is only given together with Send and Listen",
    "Topics/t: DuplicateDetectionHistoryTimeWindow must lie between 20 seconds and 7 days",
    "Topics/t/Subscriptions/s: the name R is used twice (names ignore case)",
    "Topics/t/Subscriptions/s: Rules/r: the filter cannot be read: expected a property at character 4",
    "Topics/t/Subscriptions/s: Rules/R: the action cannot be read: expected SET or REMOVE at character 1",
    "Queues/A: ForwardTo: there is no queue or topic b",
  ]);
});
