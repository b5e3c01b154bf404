/** What a text cannot be read as; carries where. Only inside the parser: callers get a value. */
export class SqlSyntaxError extends Error {
  constructor(why: string, at: number) {
    super(`${why} at character ${at + 1}`);
    this.name = "SqlSyntaxError";
  }
}

/** A long is a bigint and a double a number, since `7 / 2` depends on which they are. */
export type Token =
  | { readonly kind: "keyword" | "symbol"; readonly text: string; readonly at: number }
  | { readonly kind: "name"; readonly text: string; readonly quoted: boolean; readonly at: number }
  | { readonly kind: "parameter"; readonly text: string; readonly at: number }
  | { readonly kind: "constant"; readonly value: string | bigint | number; readonly at: number }
  | { readonly kind: "end"; readonly at: number };

const KEYWORDS = new Set([
  "and",
  "or",
  "not",
  "in",
  "like",
  "escape",
  "is",
  "null",
  "exists",
  "true",
  "false",
  "set",
  "remove",
]);
const SYMBOLS = ["<>", "!=", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ",", ".", ";"];
const NAME = /[\p{L}][\p{L}\p{Nd}_]*/uy;
const PARAMETER = /@[\p{L}_][\p{L}\p{Nd}_]*/uy;
const HEX = /0x[0-9a-f]+/iy;
const NUMBER = /\d+(\.\d+)?(e[+-]?\d+)?/iy;
const MAX_LONG = 2n ** 63n - 1n;

/** @throws SqlSyntaxError */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const match = (pattern: RegExp, at: number) => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  for (let at = 0; at < text.length; ) {
    const char = text[at]!;
    if (/\s/.test(char)) {
      at++;
      continue;
    }
    if (char === "'" || char === '"' || char === "[") {
      const { value, end } = readQuoted(text, at, char === "[" ? "]" : char);
      if (char === "'") tokens.push({ kind: "constant", value, at });
      else tokens.push({ kind: "name", text: value, quoted: true, at });
      at = end;
      continue;
    }
    const hex = match(HEX, at);
    const number = hex ?? match(NUMBER, at);
    if (number !== undefined) {
      const end = at + number.length;
      if (match(NAME, end) !== undefined) throw new SqlSyntaxError(`${number} runs into a name`, at);
      tokens.push({ kind: "constant", value: numberOf(number, at), at });
      at = end;
      continue;
    }
    const name = match(NAME, at);
    const found = name ?? match(PARAMETER, at) ?? SYMBOLS.find((symbol) => text.startsWith(symbol, at));
    if (found === undefined) throw new SqlSyntaxError(`${JSON.stringify(char)} has no meaning`, at);
    if (name !== undefined && KEYWORDS.has(name.toLowerCase())) {
      tokens.push({ kind: "keyword", text: name.toLowerCase(), at });
    } else if (name !== undefined) tokens.push({ kind: "name", text: name, quoted: false, at });
    else tokens.push({ kind: found.startsWith("@") ? "parameter" : "symbol", text: found, at });
    at += found.length;
  }
  tokens.push({ kind: "end", at: text.length });
  return tokens;
}

/** The closing mark stands for itself when it is doubled. */
function readQuoted(text: string, start: number, close: string): { value: string; end: number } {
  let value = "";
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] !== close) value += text[at];
    else if (text[at + 1] === close) {
      value += close;
      at++;
    } else return { value, end: at + 1 };
  }
  throw new SqlSyntaxError(`the ${text[start]} is not closed`, start);
}

function numberOf(text: string, at: number): bigint | number {
  if (/^\d+$|^0x/i.test(text)) {
    const value = BigInt(text);
    if (value > MAX_LONG) throw new SqlSyntaxError(`${text} is larger than a long`, at);
    return value;
  }
  return Number(text);
}
