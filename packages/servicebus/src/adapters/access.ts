import type { AnswerRequest } from "./request-node.ts";
import { type AccessKey, checkSharedAccessSignature, covers, entityPath } from "./sas.ts";

/** What one connection may reach: everything after SASL PLAIN with the key, else what its tokens were signed for. */
export class Access {
  readonly #accessKey: AccessKey;
  readonly #now: () => number;
  /** Expiry by entity path; the empty path covers the whole namespace. */
  readonly #grants = new Map<string, number>();
  #byPassword = false;

  constructor(options: { accessKey: AccessKey; now: () => number }) {
    this.#accessKey = options.accessKey;
    this.#now = options.now;
  }

  grantByPassword(): void {
    this.#byPassword = true;
  }

  allows(path: string): boolean {
    const now = this.#now();
    return this.#byPassword || [...this.#grants].some(([scope, expiresAt]) => expiresAt > now && covers(scope, path));
  }

  /** The `$cbs` node: `put-token` with a shared access signature adds a grant. */
  readonly putToken: AnswerRequest = ({ application_properties, body }) => {
    const { operation, name } = application_properties ?? {};
    if (operation !== "put-token" || typeof name !== "string" || typeof body !== "string") {
      return { status: 400, description: "Expected operation put-token with a name and a token." };
    }
    const verdict = checkSharedAccessSignature(body, { audience: name, accessKey: this.#accessKey, now: this.#now() });
    if (!verdict.ok) {
      const description = `Unauthorized: ${verdict.why}.`;
      return { status: 401, errorCondition: "amqp:unauthorized-access", description };
    }
    this.#grants.set(entityPath(name).toLowerCase(), verdict.expiresAt);
    return { status: 202, description: "Accepted" };
  };
}
