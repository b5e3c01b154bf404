import type { MessageFields, PropertyChanges } from "./message.ts";
import { text } from "./sql-evaluation.ts";
import type { PropertyReference, SqlProperties, SqlValue, SystemProperty } from "./sql-expression.ts";

/** The properties of one message as SQL sees them: named without case, and changeable by an action. */
export class MessageProperties implements SqlProperties {
  readonly #fields: MessageFields;
  readonly #user: Map<string, { readonly name: string; readonly value: SqlValue | undefined }>;
  readonly #changedSystem = new Map<SystemProperty, string | undefined>();
  readonly #changedUser = new Map<string, SqlValue | undefined>();

  constructor(fields: MessageFields) {
    this.#fields = fields;
    this.#user = new Map();
    for (const [name, value] of fields.applicationProperties) {
      const key = name.toLowerCase();
      if (!this.#user.has(key)) this.#user.set(key, { name, value });
    }
  }

  system(name: SystemProperty): string | undefined {
    return this.#changedSystem.has(name) ? this.#changedSystem.get(name) : this.#fields[name];
  }

  user(name: string): SqlValue | undefined {
    return this.#user.get(name.toLowerCase())?.value;
  }

  has(property: PropertyReference): boolean {
    if (property.scope === "sys") return this.system(property.name) !== undefined;
    return this.#user.has(property.name.toLowerCase());
  }

  set(property: PropertyReference, value: SqlValue | undefined): void {
    if (property.scope === "sys") {
      this.#changedSystem.set(property.name, value === undefined ? undefined : text(value));
      return;
    }
    if (value === undefined) {
      this.remove(property.name);
      return;
    }
    const key = property.name.toLowerCase();
    // A property that exists keeps the case of its name: two that differ in nothing else would be one to SQL.
    const name = this.#user.get(key)?.name ?? property.name;
    this.#user.set(key, { name, value });
    this.#changedUser.set(name, value);
  }

  remove(name: string): void {
    const existing = this.#user.get(name.toLowerCase());
    if (!existing) return;
    this.#user.delete(name.toLowerCase());
    this.#changedUser.set(existing.name, undefined);
  }

  get changes(): PropertyChanges {
    return { system: this.#changedSystem, user: this.#changedUser };
  }
}
