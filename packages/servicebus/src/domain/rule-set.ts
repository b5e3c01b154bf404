import type { Journal } from "./journal.ts";
import type { OfferedMessage } from "./message.ts";
import { MessageProperties } from "./message-properties.ts";
import { compileRule, perform, type Rule, type RuleDefinition } from "./rule.ts";

export type RuleChange =
  | { readonly ok: true }
  | { readonly ok: false; readonly why: "exists" | "too-many" | "unreadable"; readonly description: string };

const MAX_RULES = 2000;

/**
 * The rules of one subscription, which decide what copies of a message it gets: one for all matching rules without an
 * action together, and one for each matching rule with an action. Once changed at run time they are kept with the
 * messages, and what the configuration says of them no longer counts.
 */
export class RuleSet {
  readonly #subscription: string;
  readonly #journal: Journal;
  readonly #newId: () => string;
  #rules: readonly Rule[] = [];
  #always = false;
  #actions = 0;

  /** @throws Error when a definition cannot be read: they are checked where they come from */
  constructor(options: {
    subscription: string;
    journal: Journal;
    newId: () => string;
    definitions: readonly RuleDefinition[];
  }) {
    this.#subscription = options.subscription;
    this.#journal = options.journal;
    this.#newId = options.newId;
    this.restore(options.definitions);
  }

  /** True when each message is taken once as it is, whatever it says. */
  get takesEverything(): boolean {
    return this.#always && this.#actions === 0;
  }

  get copiesAtMost(): number {
    return 1 + this.#actions;
  }

  list(): readonly RuleDefinition[] {
    return this.#rules.map(({ definition }) => definition);
  }

  add(definition: RuleDefinition): RuleChange {
    if (this.#find(definition.name)) {
      return { ok: false, why: "exists", description: `The rule ${definition.name} exists already.` };
    }
    if (this.#rules.length >= MAX_RULES) {
      return { ok: false, why: "too-many", description: `A subscription takes at most ${MAX_RULES} rules.` };
    }
    const compiled = compileRule(definition);
    if (!compiled.ok) {
      return { ok: false, why: "unreadable", description: `Rule ${definition.name}: ${compiled.why}.` };
    }
    this.#change([...this.#rules, compiled.value]);
    return { ok: true };
  }

  /** False when there is no such rule. */
  remove(name: string): boolean {
    const found = this.#find(name);
    if (found) this.#change(this.#rules.filter((rule) => rule !== found));
    return found !== undefined;
  }

  /** Puts back what an earlier process was told at run time. */
  restore(definitions: readonly RuleDefinition[]): void {
    this.#use(
      definitions.map((definition) => {
        const compiled = compileRule(definition);
        if (!compiled.ok) throw new Error(`Rule ${definition.name} of ${this.#subscription}: ${compiled.why}.`);
        return compiled.value;
      }),
    );
  }

  /** `properties` are those of the message as it was sent; several subscriptions may share them. */
  copiesOf(message: OfferedMessage, properties: () => MessageProperties): OfferedMessage[] {
    const matching = this.#rules.filter((rule) => rule.always || rule.accepts(properties(), this.#newId));
    const copies = matching.some(({ statements }) => !statements) ? [message] : [];
    for (const { definition, statements } of matching) {
      if (!statements) continue;
      const own = new MessageProperties(message.fields());
      own.set({ kind: "property", scope: "user", name: "RuleName" }, definition.name);
      perform(statements, own, this.#newId);
      copies.push(message.changed(own.changes));
    }
    return copies;
  }

  #find(name: string): Rule | undefined {
    return this.#rules.find(({ definition }) => definition.name.toLowerCase() === name.toLowerCase());
  }

  #change(rules: readonly Rule[]): void {
    this.#use(rules);
    this.#journal.writeRules(this.#subscription, this.list());
  }

  #use(rules: readonly Rule[]): void {
    this.#rules = rules;
    this.#always = rules.some(({ always, statements }) => always && !statements);
    this.#actions = rules.filter(({ statements }) => statements).length;
  }
}
