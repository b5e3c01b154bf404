import { type Logger, pino, stdTimeFunctions } from "pino";

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
    process.stdout,
  );
}
