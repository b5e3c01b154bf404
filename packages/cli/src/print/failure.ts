import type { Failure } from "../failure.ts";
import { plain } from "./table.ts";

/** What happened, why, and what to do. */
export function failureText({ message, why, fix, document }: Failure): string {
  const lines = [
    `millrace: ${plain(message)}`,
    ...(why === undefined ? [] : [`  why:        ${plain(why)}`]),
    ...(fix === undefined ? [] : [`  what to do: ${plain(fix)}`]),
    ...(document?.trace_id === undefined ? [] : [`  trace id:   ${plain(document.trace_id)}`]),
  ];
  return `${lines.join("\n")}\n`;
}
