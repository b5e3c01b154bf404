import { type DestinationStream, type Logger, pino, stdTimeFunctions, symbols } from "pino";

export type { Logger };

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

/**
 * One JSON line per event on standard output: `time` (RFC 3339), `level` (name), `service`, `msg`. One line per message
 * handled, not per step; never payloads, never secrets (the usual names are redacted as a last resort).
 */
export function createLogger(service: string, level: string = process.env.LOG_LEVEL ?? "info"): Logger {
  // Whoever read the log may die before we do; the work goes on, and stopping still works. (Pino's own destination
  // retries a broken pipe for ever when it flushes: a service was seen to hang on SIGTERM.)
  if (process.stdout.listenerCount("error") === 0) process.stdout.on("error", () => {});
  return pino(
    {
      level,
      base: { service },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ["password", "token", "authorization", "*.password", "*.token", "*.authorization"],
        remove: true,
      },
    },
    linesOfATurn(process.stdout),
  );
}

/**
 * A log for lines of one fixed form, with no field that could hold a secret: looking for secrets costs more than writing
 * the line does, which counts where there is one per request.
 */
export const plainLines = (log: Logger): Logger => log.child({}, { redact: [] });

const ERROR = 50;
const PENDING_MAX = 64 * 1024;

/**
 * Writes the lines of one turn of the event loop together: a write to a file or a pipe blocks, and one per line was a
 * twentieth of ingest's time. From `error` on a line is written at once, as are those before it, and what waits when the
 * process exits is written then.
 */
function linesOfATurn(out: NodeJS.WritableStream): DestinationStream {
  let lines = "";
  const flush = () => {
    process.removeListener("exit", flush);
    const text = lines;
    lines = "";
    if (text !== "") out.write(text);
  };
  return {
    // Asks pino to say the level of each line before it writes it.
    [symbols.needsMetadataGsym]: true,
    lastLevel: 0,
    write(this: { lastLevel: number }, line: string) {
      if (lines === "") {
        setImmediate(flush);
        process.once("exit", flush);
      }
      lines += line;
      if (this.lastLevel >= ERROR || lines.length > PENDING_MAX) flush();
    },
  } as DestinationStream;
}
