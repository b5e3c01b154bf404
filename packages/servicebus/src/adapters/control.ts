import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { type Fault, FaultError } from "../faults/fault.ts";
import type { Faults } from "../faults/faults.ts";
import type { EntityReport } from "../inspection.ts";

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

/** What tests do with a broker and nobody does with Azure. */
export interface Controls {
  readonly faults: Faults;
  entities(): EntityReport[];
  entity(path: string): EntityReport | undefined;
  reset(): void;
}

const ROOT = /^\/(?:\$|%24)emulator\/([^?]*)/i;
const MAX_BODY = 65_536;
const SHORTEST_TOKEN = 16;

/** Looks, resets and makes faults over HTTP, below a path that Azure does not have; only with a token, and a token of its own. */
export class Control {
  readonly #digest: Buffer;
  readonly #controls: Controls;
  readonly #afterCommit: (answer: () => void) => void;

  constructor(options: { token: string; controls: Controls; afterCommit: (answer: () => void) => void }) {
    this.#digest = digestOf(options.token);
    this.#controls = options.controls;
    this.#afterCommit = options.afterCommit;
  }

  /** Whether a request is meant for this. */
  static owns(request: IncomingMessage): boolean {
    return ROOT.test(request.url ?? "");
  }

  readonly handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answer = await this.#answer(request).catch((error: unknown) => {
      if (error instanceof FaultError) return problem(400, error.message, { mistakes: error.mistakes });
      throw error;
    });
    this.#afterCommit(() => {
      const type = answer.status >= 400 ? "application/problem+json" : "application/json";
      response.writeHead(answer.status, answer.body === undefined ? {} : { "content-type": type });
      response.end(answer.body === undefined ? undefined : JSON.stringify(answer.body));
    });
  };

  async #answer(request: IncomingMessage): Promise<Answer> {
    const [, token = ""] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
    if (!timingSafeEqual(digestOf(token), this.#digest))
      return problem(401, "Give the control token: Authorization: Bearer …");
    const path = decode(ROOT.exec(request.url ?? "")![1]!);
    const [area = "", ...rest] = path?.split("/") ?? [];
    const name = rest.join("/");
    switch (`${request.method} ${area}${name ? "/…" : ""}`) {
      case "GET entities":
        return ok({ entities: this.#controls.entities() });
      case "GET entities/…": {
        const report = this.#controls.entity(name);
        return report ? ok(report) : problem(404, `There is no entity ${name}.`);
      }
      case "POST reset":
        this.#controls.reset();
        return { status: 204 };
      case "GET faults":
        return ok({ faults: this.#controls.faults.list() });
      case "DELETE faults":
        this.#controls.faults.clear();
        return { status: 204 };
      case "GET faults/…": {
        const found = this.#controls.faults.list().find((fault) => fault.name === name);
        return found ? ok(found) : noFault(name);
      }
      case "PUT faults/…": {
        const fault = await readJson(request);
        return fault.ok ? ok(this.#controls.faults.set(name, fault.value as Fault)) : problem(fault.status, fault.why);
      }
      case "DELETE faults/…":
        return this.#controls.faults.clear(name) ? { status: 204 } : noFault(name);
      default:
        return problem(404, `${request.method} ${area} is not known here: see the README.`);
    }
  }
}

/** @throws Error when the token could be guessed */
export function checkControlToken(token: string): void {
  if (token.length >= SHORTEST_TOKEN) return;
  throw new Error(`The control token is too short: give at least ${SHORTEST_TOKEN} characters, drawn at random.`);
}

async function readJson(request: IncomingMessage) {
  const length = Number(request.headers["content-length"] ?? Number.NaN);
  if (!(length <= MAX_BODY)) {
    return { ok: false, status: 413, why: `Give a body of at most ${MAX_BODY} bytes, with its length.` } as const;
  }
  try {
    return { ok: true, value: JSON.parse(await text(request)) as unknown } as const;
  } catch {
    return { ok: false, status: 400, why: "The body is not JSON." } as const;
  }
}

const ok = (body: unknown): Answer => ({ status: 200, body });

const noFault = (name: string) => problem(404, `There is no fault ${name}.`);

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad request",
  401: "Unauthorized",
  404: "Not found",
  413: "Body too long",
};

/** RFC 9457. */
const problem = (status: number, detail: string, more: object = {}): Answer => ({
  status,
  body: { type: "about:blank", title: TITLES[status], status, detail, ...more },
});

const digestOf = (token: string) => createHash("sha256").update(token).digest();

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path).replace(/\/+$/, "");
  } catch {
    return undefined;
  }
}
