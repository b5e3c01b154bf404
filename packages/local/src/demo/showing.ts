import type { AuditEntry } from "@millrace/contracts";
import type { Screen } from "../screen.ts";

/** The four ends of the pipeline, as the terminal calls them. */
export const ENDS = ["prediction", "notification", "ledger", "Service Bus"] as const;
export type End = (typeof ENDS)[number];

const REMEMBERED = 1_000;
const MESSAGES_SHOWN = 2;

/** Writes what came out where, one line each, and knows which ends have been seen. */
export class Showing {
  readonly #screen: Screen;
  readonly #seen = new Set<End>();
  /** Machine by request id, so that the other ends can say whose reading it was. */
  readonly #machines = new Map<string, string>();
  readonly #notified = new Set<string>();
  #messages = 0;
  #trouble: string | undefined;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  missing(): End[] {
    return ENDS.filter((end) => !this.#seen.has(end));
  }

  has(end: End): boolean {
    return this.#seen.has(end);
  }

  /** Called before the answer is there, because another end may be first. */
  submitted(id: string, machine: string): void {
    this.#machines.set(id, machine);
    if (this.#machines.size > REMEMBERED) this.#machines.delete(this.#machines.keys().next().value!);
  }

  prediction(machine: string, probability: number, took_ms: number): void {
    const risk = `${(probability * 100).toFixed(1).padStart(5)} % risk of failing within 72 h`;
    const text = probability >= 0.8 ? this.#screen.style("red", risk) : risk;
    this.#row("prediction", `${machine.padEnd(14)}${text}   ${this.#dim(`${took_ms.toFixed(0)} ms`)}`);
  }

  notification(webhookId: string): void {
    if (this.#notified.has(webhookId)) return; // a repeat, as after a crash between the receiver's answer and the ack
    this.#notified.add(webhookId);
    if (this.#notified.size > REMEMBERED) this.#notified.delete(this.#notified.values().next().value!);
    this.#row("notification", `${this.#machine(webhookId)}webhook received, its signature verified`);
  }

  ledger(entry: AuditEntry, entries: number): void {
    const where = `${this.#machine(entry.id)}entry ${entry.seq} of ${entries}, chained as ${entry.chain_hash.slice(0, 23)}…`;
    this.#row("ledger", where);
  }

  /** The first messages are shown, then one in ten: they come as fast as the readings go in. */
  message(messageId: string): void {
    this.#messages += 1;
    this.#trouble = undefined;
    if (this.#messages > MESSAGES_SHOWN && this.#messages % 10 !== 0) return;
    const count = this.#messages > MESSAGES_SHOWN ? `, ${this.#messages} in all` : "";
    const text = `message ${messageId.slice(0, 13)}… received from the topic${count}`;
    this.#row("Service Bus", `${this.#machine(messageId)}${text}`);
  }

  /** Told once, until something comes out again: who tries on may say the same each second. */
  trouble(text: string): void {
    if (text === this.#trouble) return;
    this.#trouble = text;
    this.#screen.row("demo", this.#screen.style("yellow", text));
  }

  #row(end: End, text: string): void {
    this.#seen.add(end);
    this.#screen.row(end, text);
  }

  #machine(effectOrRequestId: string): string {
    const id = effectOrRequestId.split(/[.:]/)[0]!;
    return (this.#machines.get(id) ?? "").padEnd(14);
  }

  #dim(text: string): string {
    return this.#screen.style("dim", text);
  }
}
