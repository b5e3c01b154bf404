import {
  type BulkSummary,
  LIMITS,
  type LineError,
  type PackedRequest,
  type Problem,
  type ProblemDocument,
} from "@millrace/contracts";
import type { Accepted, Refused, Submitted } from "../ports.ts";
import { newRequest, type Origin } from "../submission.ts";
import type { RowWriter } from "./row-writer.ts";

/** Requests published at once: packs are up to 256 KiB, single rows small. */
const IN_FLIGHT = { packed: 16, single: 256 } as const;

export type UploadOptions = {
  origin: Origin;
  writer: RowWriter;
  packed: boolean;
  publish: (request: Submitted) => Promise<Accepted | Refused>;
  /** What a failed publish means to the client. */
  problemOf: (error: unknown) => Problem;
};

export type Progress = NonNullable<ProblemDocument["bulk"]>;

type Pack = PackedRequest & { request: Submitted };

/**
 * One bulk upload: gathers good lines into packs, publishes a bounded number of them at once, and knows precisely what
 * was accepted when something fails in between. Rows are added synchronously; {@link Upload.room} is awaited between
 * chunks, which is what slows the client down to what the broker takes.
 */
export class Upload {
  readonly #options: UploadOptions;
  readonly #inFlightMax: number;
  readonly #waiting: Pack[] = [];
  readonly #accepted: PackedRequest[] = [];
  readonly #unaccepted: PackedRequest[] = [];
  readonly #errors: LineError[] = [];
  #rejected = 0;
  #inFlight = 0;
  #parts = 0;
  #lastRead = 0;
  #firstLine = 0;
  #lastLine = 0;
  #nextLine: number | undefined;
  /** The bound of one upload that was reached: what was read goes on, the rest is refused. */
  #limit: Problem | undefined;
  /** The broker, or a conflict: nothing further is sent. */
  #failure: Problem | undefined;
  #wake = () => {};

  constructor(options: UploadOptions) {
    this.#options = options;
    this.#inFlightMax = options.packed ? IN_FLIGHT.packed : IN_FLIGHT.single;
  }

  /** Why the upload cannot go on. */
  get failure(): Problem | undefined {
    return this.#failure ?? this.#limit;
  }

  /** Takes the outcome of writing line `line`: counts a good one, notes a bad one, sends the pack when it is full. */
  wrote(line: number, wrong: Problem | undefined): void {
    if (wrong) this.reject(line, wrong);
    else {
      if (this.#options.writer.rows === 1) this.#firstLine = line;
      this.#lastLine = line;
      if (this.#options.writer.full) this.#close();
    }
  }

  reject(line: number, { code, detail, at }: Problem): void {
    this.#rejected++;
    if (this.#errors.length < LIMITS.bulk.errors)
      this.#errors.push({ line, code, detail, ...(at === undefined ? {} : { at }) });
  }

  /** Ends the upload: nothing further is sent. */
  fail(failure: Problem): void {
    this.#failure ??= failure;
    this.#nextLine = this.#lastRead + 1;
    this.#wake();
  }

  /** Whether `line` may still be read: not past the bounds of one upload, nor after a failure. */
  mayRead(line: number): boolean {
    if (this.failure) return false;
    const { lines, requests } = LIMITS.bulk;
    if (line > lines) this.#limit = { code: "too-many-lines", detail: `the upload has more than ${lines} lines` };
    else if (this.#parts === requests)
      this.#limit = { code: "too-many-lines", detail: `the upload makes more than ${requests} requests` };
    if (this.#limit) this.#nextLine = line;
    else this.#lastRead = line;
    return this.#limit === undefined;
  }

  /** Resolves when every full pack is on its way, or the upload has failed. */
  async room(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#failure) await this.#change();
  }

  /** Sends what is left and waits for every answer. */
  async finish(): Promise<void> {
    if (!this.#failure && this.#options.writer.rows > 0) this.#close();
    while (this.#inFlight > 0 || (this.#waiting.length > 0 && !this.#failure)) await this.#change();
  }

  get summary(): Pick<BulkSummary, "accepted" | "rejected" | "requests" | "errors"> {
    const requests = this.#accepted.toSorted((a, b) => a.first_line - b.first_line);
    const rows = requests.reduce((sum, request) => sum + request.rows, 0);
    return {
      accepted: { rows, requests: requests.length },
      rejected: { rows: this.#rejected },
      requests,
      errors: this.#errors,
    };
  }

  /** How far it came, for a problem document. */
  get progress(): Progress {
    const { accepted, rejected, requests } = this.summary;
    const unaccepted = this.#unaccepted.toSorted((a, b) => a.first_line - b.first_line);
    // Lines that were read but not sent stand before the line at which reading stopped.
    const unsent = this.#waiting[0]?.first_line ?? (this.#options.writer.rows > 0 ? this.#firstLine : undefined);
    const next_line = unsent ?? this.#nextLine;
    return { accepted, rejected, requests, unaccepted, ...(next_line === undefined ? {} : { next_line }) };
  }

  #close(): void {
    const { origin, writer, packed } = this.#options;
    const rows = writer.rows;
    const first_line = this.#firstLine;
    const last_line = this.#lastLine;
    const body = writer.take();
    if (!packed && body.bytes.byteLength > LIMITS.stored_bytes) {
      this.reject(first_line, { code: "body-too-large", detail: `as a request it is ${body.bytes.byteLength} bytes` });
      return;
    }
    const request = newRequest(origin, body, rows, this.#parts++);
    this.#waiting.push({ id: request.id, first_line, last_line, rows, request });
    this.#pump();
  }

  #pump(): void {
    while (!this.#failure && this.#inFlight < this.#inFlightMax) {
      const pack = this.#waiting.shift();
      if (!pack) return;
      this.#inFlight++;
      void this.#send(pack).finally(() => {
        this.#inFlight--;
        this.#pump();
        this.#wake();
      });
    }
  }

  async #send({ request, ...pack }: Pack): Promise<void> {
    try {
      const accepted = await this.#options.publish(request);
      if (accepted.kind === "accepted") {
        this.#accepted.push(pack);
        return;
      }
      this.#unaccepted.push(pack);
      if (accepted.kind === "refused") {
        this.fail(accepted.refusal);
        return;
      }
      const detail = `the key stands for other rows: request ${request.id} holds ${accepted.existing}, these are ${accepted.digest}`;
      this.fail({ code: "idempotency-conflict", detail, at: `line ${pack.first_line}` });
    } catch (error) {
      this.#unaccepted.push(pack);
      this.fail(this.#options.problemOf(error));
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
