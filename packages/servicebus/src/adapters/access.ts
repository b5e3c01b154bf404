import type { Admission, Authority, Grant } from "./authority.ts";
import { notFound } from "./refusals.ts";
import type { AnswerRequest, NodeResponse } from "./request-node.ts";
import type { Right } from "./rights.ts";
import { covers, entityPath } from "./sas.ts";

interface Watch {
  readonly path: string;
  readonly anyOf: readonly Right[];
  readonly onLost: () => void;
}

const MANAGEMENT = /\/\$management$/i;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * What one connection may reach: everything its key allows after SASL PLAIN, else what its tokens allow, each for the entity
 * it was put for, until it expires or the next one for that entity takes its place.
 */
export class Access {
  readonly #authority: Authority;
  readonly #now: () => number;
  /** By entity path; the empty one is for the whole namespace. */
  readonly #grants = new Map<string, Grant>();
  readonly #watches = new Set<Watch>();
  readonly #exists: (path: string) => boolean;
  #byPassword: Grant | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `exists` tells whether there is an entity of that path. */
  constructor(options: { authority: Authority; now: () => number; exists: (path: string) => boolean }) {
    this.#exists = options.exists;
    this.#authority = options.authority;
    this.#now = options.now;
  }

  grantByPassword(grant: Grant): void {
    this.#byPassword = grant;
  }

  /** Whether any token or key was good so far. */
  get granted(): boolean {
    return this.#byPassword !== undefined || this.#grants.size > 0;
  }

  /** Whether any of these rights is held now. */
  allows(path: string, ...anyOf: readonly Right[]): boolean {
    if (this.#byPassword) return anyOf.some((right) => this.#byPassword?.allows(path, right));
    const now = this.#now();
    for (const [scope, grant] of this.#grants) {
      if (grant.expiresAt > now && covers(scope, path) && anyOf.some((right) => grant.allows(path, right))) return true;
    }
    return false;
  }

  /** Tells, once, when none of these rights is held any more; answers how to stop that. */
  watch(path: string, anyOf: readonly Right[], onLost: () => void): () => void {
    const watch = { path, anyOf, onLost };
    this.#watches.add(watch);
    this.#armTimer();
    return () => {
      this.#watches.delete(watch);
      this.#armTimer();
    };
  }

  /** The `$cbs` node: `put-token` adds a grant, or renews it. */
  readonly putToken: AnswerRequest = ({ application_properties, body }) => {
    const { operation, name, type } = application_properties ?? {};
    if (operation !== "put-token" || typeof name !== "string" || typeof body !== "string") {
      return { status: 400, description: "Expected operation put-token with a name and a token." };
    }
    // Python's SDK gives signatures as `jwt` too, which Azure takes.
    const signed = body.startsWith("SharedAccessSignature ");
    if (type === "jwt" && !signed)
      return this.#authority.checkToken(body).then((admission) => this.#admit(name, admission));
    return this.#admit(name, this.#authority.checkSignature(body, name));
  };

  #admit(name: string, admission: Admission): NodeResponse {
    if (admission.ok) {
      const entity = entityPath(name).replace(MANAGEMENT, "");
      // Some SDKs look for a missing entity here rather than when they attach.
      if (entity !== "" && !this.#exists(entity)) {
        return { status: 404, errorCondition: "amqp:not-found", description: notFound(entity) };
      }
      this.#grants.set(entityPath(name).toLowerCase(), admission.grant);
      this.#armTimer();
      return { status: 202, description: "Accepted" };
    }
    const { why, expiredAt } = admission;
    const description =
      expiredAt === undefined
        ? `Unauthorized: ${why}.`
        : `ExpiredToken: The token is expired. Expiration time: '${new Date(expiredAt).toISOString()}'.`;
    return admission.unavailable
      ? { status: 503, errorCondition: "com.microsoft:server-busy", description }
      : { status: 401, errorCondition: "amqp:unauthorized-access", description };
  }

  #armTimer(): void {
    clearTimeout(this.#timer);
    if (this.#byPassword || this.#watches.size === 0) return;
    const now = this.#now();
    const earliest = Math.min(...[...this.#grants.values()].map(({ expiresAt }) => expiresAt));
    if (!Number.isFinite(earliest)) return;
    const delay = Math.min(Math.max(1, earliest - now), LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => this.#expire(), delay).unref();
  }

  #expire(): void {
    const now = this.#now();
    for (const [scope, { expiresAt }] of this.#grants) if (expiresAt <= now) this.#grants.delete(scope);
    for (const watch of [...this.#watches]) {
      if (this.allows(watch.path, ...watch.anyOf)) continue;
      this.#watches.delete(watch);
      watch.onLost();
    }
    this.#armTimer();
  }
}
