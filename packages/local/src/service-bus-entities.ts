/** The topic that outcomes are mirrored to. */
export const TOPIC = "predictions";

/** Each subscription gets every message: the demonstration's own never takes from the one that is for users. */
export const SUBSCRIPTIONS = { enterprise: "enterprise", demo: "demo" } as const;

/**
 * What the local Service Bus has, in the form of the official emulator's Config.json. Duplicate detection is what makes a
 * repeated send, after a bridge was killed between sending and acknowledging, invisible to receivers.
 */
export function serviceBusEntities({ demo }: { demo: boolean }) {
  const subscriptions = [
    { Name: SUBSCRIPTIONS.enterprise },
    // What nobody reads must not fill the topic: this one lives as long as the terminal it is shown on.
    ...(demo ? [{ Name: SUBSCRIPTIONS.demo, Properties: { DefaultMessageTimeToLive: "PT10M" } }] : []),
  ];
  const topic = {
    Name: TOPIC,
    Properties: {
      RequiresDuplicateDetection: true,
      DuplicateDetectionHistoryTimeWindow: "P1D",
      MaxSizeInMegabytes: 5120,
      MaxMessageSizeInKilobytes: 1024,
    },
    Subscriptions: subscriptions,
  };
  return { UserConfig: { Namespaces: [{ Name: "millrace", Topics: [topic] }] } };
}

/** For users: with a key, over plain TCP. */
export const connectionStringOf = (host: string, key: string): string =>
  [
    `Endpoint=sb://${host}`,
    "SharedAccessKeyName=RootManageSharedAccessKey",
    `SharedAccessKey=${key}`,
    "UseDevelopmentEmulator=true", // plain TCP: the SDK otherwise insists on TLS
  ].join(";");
