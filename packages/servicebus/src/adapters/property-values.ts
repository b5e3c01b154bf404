import type { SqlValue } from "../domain/sql-expression.ts";
import { type Typed, types } from "./rhea.ts";

const FLOAT = 0x72;
const DOUBLE = 0x82;
const TIMESTAMP = 0x83;
const UUID = 0x98;

/** A property as rules see it: whole numbers of every width are longs, the others doubles. */
export function toSqlValue({ type: { typecode }, value }: Typed): SqlValue | undefined {
  if (value == null) return undefined;
  if (typecode === TIMESTAMP) return new Date(Number(value));
  if (typeof value === "number") return typecode === FLOAT || typecode === DOUBLE ? value : BigInt(value);
  if (typeof value === "string" || typeof value === "boolean" || value instanceof Date) return value;
  if (!Buffer.isBuffer(value)) return undefined; // lists and maps: no expression can use them
  if (isLong(typecode)) return value.readBigInt64BE(0);
  return typecode === UUID ? uuidText(value) : value;
}

/** The inverse: a property that a rule's action has set. */
export function fromSqlValue(value: SqlValue): Typed {
  if (typeof value === "bigint") {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value);
    return types.wrap_long(bytes);
  }
  if (typeof value === "number") return types.wrap_double(value);
  if (value instanceof Uint8Array) return types.wrap(Buffer.from(value));
  return types.wrap(value);
}

/** rhea leaves a long it cannot hold in a number as its eight bytes. */
const isLong = (typecode: number) => typecode === 0x80 || typecode === 0x81;

const uuidText = (uuid: Buffer) => uuid.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
