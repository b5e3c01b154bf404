/** A JSON value of a generated document. */
export type Json = unknown;

/**
 * Gathers schemas with a title as named components, so that a document says each of them once.
 * @throws when two different schemas have one title.
 */
export function componentsOf(prefix: string): { reference: (schema: unknown) => Json; all: () => Json } {
  const named = new Map<string, string>();

  const reference = (schema: unknown): Json => {
    if (Array.isArray(schema)) return schema.map(reference);
    if (typeof schema !== "object" || schema === null) return schema;
    const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, reference(value)]));
    const title = (schema as { title?: unknown }).title;
    if (typeof title !== "string") return inner;
    const name = title.replace(/[^A-Za-z0-9]/g, "");
    const text = JSON.stringify(inner);
    if ((named.get(name) ?? text) !== text) throw new Error(`two different schemas have the title "${title}"`);
    named.set(name, text);
    return { $ref: `${prefix}${name}` };
  };
  const all = () =>
    Object.fromEntries([...named].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, text]) => [name, JSON.parse(text)]));
  return { reference, all };
}
