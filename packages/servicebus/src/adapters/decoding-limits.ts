import { types } from "./rhea.ts";

const MAX_DEPTH = 32;

interface Decoder {
  depth?: number;
  remaining(): number;
  read(): unknown;
  read_n(count: number): unknown;
  read_array(type: unknown): unknown;
  read_array_items(count: number, type: unknown): unknown;
}

/**
 * Makes rhea's decoder refuse what could only do harm: lists and arrays that claim more values than there are bytes (one of
 * four thousand million `true`s takes a dozen bytes to send), and values nested without end.
 * @throws RangeError (the patched decoder) when there is more than that
 */
export function limitDecoding(): void {
  const decoder = types.Reader.prototype as Decoder & { limited?: true };
  if (decoder.limited) return;
  decoder.limited = true;
  for (const name of ["read_n", "read_array_items"] as const) {
    const original: (this: Decoder, count: number, type: unknown) => unknown = decoder[name];
    decoder[name] = function limited(this: Decoder, count: number, type?: unknown) {
      if (count > this.remaining() + 1)
        throw new RangeError(`${count} values are claimed in ${this.remaining()} bytes`);
      return original.call(this, count, type);
    };
  }
  for (const name of ["read", "read_array"] as const) {
    const original: (this: Decoder, type: unknown) => unknown = decoder[name];
    decoder[name] = function limited(this: Decoder, type?: unknown) {
      this.depth = (this.depth ?? 0) + 1;
      if (this.depth > MAX_DEPTH) throw new RangeError(`values are nested more than ${MAX_DEPTH} deep`);
      const value = original.call(this, type);
      this.depth--;
      return value;
    };
  }
}
