import type { Authority, Grant } from "./authority.ts";
import type { Connection } from "./rhea.ts";

/** One client's way through SASL. */
export interface Mechanism {
  outcome: boolean | undefined;
  username: string | undefined;
  /** What the key that it has shown allows. */
  proved?: Grant;
  start(response: Buffer | undefined): void;
}

/**
 * The SASL mechanisms a Service Bus client may choose. ANONYMOUS and MSSBCBS let anyone connect and prove themselves over
 * `$cbs`; PLAIN proves the key at once. rhea's own ANONYMOUS takes its user name from the peer, so it is not used.
 */
export function mechanisms(authority: Authority): Record<string, () => Mechanism> {
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
      this.proved = authority.checkPassword(name, key);
      this.outcome = this.proved !== undefined;
    },
  });
  return { ANONYMOUS: anyone, MSSBCBS: anyone, PLAIN: plain };
}

/** What a key allows that the peer has shown during SASL, if it has. */
export function provedByKey(connection: Connection): Grant | undefined {
  const transport = connection.sasl_transport;
  return (transport?.selected ?? transport)?.mechanism?.proved;
}
