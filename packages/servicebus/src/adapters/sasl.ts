import { timingSafeEqual } from "node:crypto";
import type { Connection } from "./rhea.ts";
import type { AccessKey } from "./sas.ts";

interface Mechanism {
  outcome: boolean | undefined;
  username: string | undefined;
  start(response: Buffer | undefined): void;
}

const PROVEN = "proven";

/**
 * The SASL mechanisms a Service Bus client may choose. ANONYMOUS and MSSBCBS let anyone connect and prove themselves over
 * `$cbs`; PLAIN proves the key at once. rhea's own ANONYMOUS takes its user name from the peer, so it is not used.
 */
export function mechanisms(accessKey: AccessKey): Record<string, () => Mechanism> {
  const anyone = (): Mechanism => ({
    outcome: undefined,
    username: undefined,
    start() {
      this.outcome = true;
    },
  });
  const plain = (): Mechanism => ({
    outcome: undefined,
    username: undefined,
    start(response) {
      const [, name = "", key = ""] = String(response ?? "").split("\0");
      this.outcome = name === accessKey.name && equal(key, accessKey.key);
      if (this.outcome) this.username = PROVEN;
    },
  });
  return { ANONYMOUS: anyone, MSSBCBS: anyone, PLAIN: plain };
}

/** Whether the peer has shown the key itself during SASL. */
export function provedKey(connection: Connection): boolean {
  const transport = connection.sasl_transport;
  return (transport?.selected ?? transport)?.username === PROVEN;
}

function equal(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
