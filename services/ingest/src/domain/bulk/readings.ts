import { LIMITS, type Problem, problem, type Result } from "@millrace/contracts";
import { parse } from "csv-parse/sync";
import { LineSplitter } from "./lines.ts";
import type { Column, RowWriter } from "./row-writer.ts";
import type { Upload } from "./upload.ts";

/** Takes one line that is not blank: writes its row, or says why not. Anything but a bad row ends the upload. */
export type LineReader = (text: string) => "header" | { row: Problem | undefined } | { fatal: Problem };

/**
 * Reads an upload line by line, chunk by chunk, as fast as it has room. A last line without a line feed is a line like
 * any other: when it was cut off, it is an error of that line alone.
 */
export async function readLines(chunks: AsyncIterable<Uint8Array>, read: LineReader, upload: Upload): Promise<void> {
  const lines = new LineSplitter(LIMITS.bulk.line_bytes);
  const decoder = new TextDecoder(); // drops a byte order mark; malformed UTF-8 becomes a line that does not parse
  for await (const chunk of chunks) {
    for (const line of lines.feed(decoder.decode(chunk, { stream: true }))) if (!take(line)) return;
    await upload.room();
  }
  for (const line of lines.end()) if (!take(line)) return;

  function take({ number, text, tooLong }: { number: number; text: string; tooLong: boolean }): boolean {
    if (!upload.mayRead(number)) return false;
    if (tooLong) {
      upload.reject(number, TOO_LONG);
      return true;
    }
    if (isBlank(text)) return true;
    const taken = read(text);
    if (taken === "header") return true;
    if ("row" in taken) upload.wrote(number, taken.row);
    else upload.fail({ ...taken.fatal, at: `line ${number}` });
    return upload.failure === undefined;
  }
}

/** NDJSON: one JSON value per line. */
export const ndjsonReader =
  (writer: RowWriter): LineReader =>
  (text) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      return { row: { code: "malformed-json", detail: `the line is not JSON: ${(cause as Error).message}` } };
    }
    return { row: writer.writeJson(value) };
  };

/** CSV (RFC 4180) whose first line names the columns. A field cannot hold a line break: a reading is one line. */
export function csvReader(writer: RowWriter): LineReader {
  let columns: readonly Column[] | undefined;
  return (text) => {
    const cells = cellsOf(text);
    if (columns) return { row: cells.ok ? writer.writeCells(columns, cells.value) : cells.problem };
    const named = cells.ok ? writer.columns(cells.value) : cells;
    if (!named.ok) return { fatal: named.problem };
    columns = named.value;
    return "header";
  };
}

/** Readings are numbers: nearly no line has a quote, and one without is split at its commas. */
function cellsOf(text: string): Result<string[]> {
  const line = text.endsWith("\r") ? text.slice(0, -1) : text;
  if (!line.includes('"')) return { ok: true, value: line.split(",") };
  try {
    const [record] = parse(line, { relax_column_count: true });
    return { ok: true, value: record ?? [] };
  } catch (cause) {
    return problem("malformed-body", `the line is not CSV: ${(cause as Error).message}`);
  }
}

const TOO_LONG: Problem = {
  code: "line-too-long",
  detail: `the line has more than ${LIMITS.bulk.line_bytes} characters`,
};

function isBlank(text: string): boolean {
  // Most lines begin with what they hold.
  return text.charCodeAt(0) <= 32 || text === "" ? text.trim() === "" : false;
}
