/** The widths of AMQP's fixed types, by constructor (part 1.6). */
const FIXED = new Map<number, number>([
  ...[0x40, 0x41, 0x42, 0x43, 0x44, 0x45].map((code) => [code, 0] as const),
  ...[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56].map((code) => [code, 1] as const),
  ...[0x60, 0x61].map((code) => [code, 2] as const),
  ...[0x70, 0x71, 0x72, 0x73, 0x74].map((code) => [code, 4] as const),
  ...[0x80, 0x81, 0x82, 0x83, 0x84].map((code) => [code, 8] as const),
  ...[0x94, 0x98].map((code) => [code, 16] as const),
]);
const VARIABLE = new Set([0xa0, 0xa1, 0xa3, 0xb0, 0xb1, 0xb3]);
const COMPOUND = new Set([0xc0, 0xc1, 0xd0, 0xd1]);
const ARRAYS = new Set([0xe0, 0xf0]);
const DESCRIBED = 0x00;
const MAX_DEPTH = 32;

/** The end of the AMQP value that starts at `at`, found without looking into it. @throws RangeError when it has none */
export function endOfValue(buffer: Buffer, at: number, depth = 0): number {
  if (depth > MAX_DEPTH) throw new RangeError("its values are nested too deeply");
  const code = buffer.readUInt8(at);
  if (code === DESCRIBED) return endOfValue(buffer, endOfValue(buffer, at + 1, depth + 1), depth + 1);
  const start = at + 1;
  const width = FIXED.get(code);
  if (width !== undefined) return start + width;
  if (!VARIABLE.has(code) && !COMPOUND.has(code) && !ARRAYS.has(code)) {
    throw new RangeError(`no AMQP type has the constructor 0x${code.toString(16)}`);
  }
  return isWide(code) ? start + 4 + buffer.readUInt32BE(start) : start + 1 + buffer.readUInt8(start);
}

/** As `endOfValue`, and every value inside is whole too: nobody who decodes it later will choke on it. */
export function checkValue(buffer: Buffer, at: number, depth = 0): number {
  if (depth > MAX_DEPTH) throw new RangeError("its values are nested too deeply");
  const { code, start } = constructorAt(buffer, at, depth);
  return checkContent(buffer, code, start, depth);
}

function constructorAt(buffer: Buffer, at: number, depth: number): { code: number; start: number } {
  const code = buffer.readUInt8(at);
  if (code !== DESCRIBED) return { code, start: at + 1 };
  const start = checkValue(buffer, at + 1, depth + 1);
  const described = buffer.readUInt8(start);
  if (described === DESCRIBED) throw new RangeError("a value is described twice");
  return { code: described, start: start + 1 };
}

function checkContent(buffer: Buffer, code: number, start: number, depth: number): number {
  const width = FIXED.get(code);
  const end = width === undefined ? endOfSized(buffer, code, start) : start + width;
  if (end > buffer.length) throw new RangeError("a value ends after its bytes");
  if (COMPOUND.has(code)) checkItems(buffer, code, { start, end, depth });
  if (ARRAYS.has(code)) checkElements(buffer, code, { start, end, depth });
  return end;
}

function endOfSized(buffer: Buffer, code: number, start: number): number {
  if (!VARIABLE.has(code) && !COMPOUND.has(code) && !ARRAYS.has(code)) {
    throw new RangeError(`no AMQP type has the constructor 0x${code.toString(16)}`);
  }
  return isWide(code) ? start + 4 + buffer.readUInt32BE(start) : start + 1 + buffer.readUInt8(start);
}

interface Extent {
  readonly start: number;
  readonly end: number;
  readonly depth: number;
}

function checkItems(buffer: Buffer, code: number, { start, end, depth }: Extent): void {
  const { count, first } = countAt(buffer, code, start);
  let at = first;
  for (let item = 0; item < count && at < end; item++) {
    at = checkValue(buffer, at, depth + 1);
    if (item === count - 1 && at === end) return;
  }
  if (count > 0 || first !== end) throw new RangeError("a list or map is not as long as it says");
}

/** Elements share a constructor; those of a type without bytes could be any number, so there may be no more than bytes. */
function checkElements(buffer: Buffer, code: number, { start, end, depth }: Extent): void {
  const { count, first } = countAt(buffer, code, start);
  if (depth >= MAX_DEPTH || count > end - start) throw new RangeError("an array claims more than it can hold");
  const element = constructorAt(buffer, first, depth + 1);
  let at = element.start;
  for (let item = 0; item < count; item++) at = checkContent(buffer, element.code, at, depth + 1);
  if (at !== end) throw new RangeError("an array is not as long as it says");
}

function countAt(buffer: Buffer, code: number, start: number): { count: number; first: number } {
  return isWide(code)
    ? { count: buffer.readUInt32BE(start + 4), first: start + 8 }
    : { count: buffer.readUInt8(start + 1), first: start + 2 };
}

const isWide = (code: number) => (code & 0x10) !== 0;
