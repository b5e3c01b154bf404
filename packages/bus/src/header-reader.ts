import type { MsgHdrs } from "nats";

/**
 * Reads headers by name (exact case; an empty value counts as absent) from a map made at the first look: the client's
 * own `get` lists and compares all names each time, and a message is asked for a dozen.
 */
export function headerReader(headers: MsgHdrs | undefined): (name: string) => string | undefined {
  let values: Map<string, string> | undefined;
  return (name) => {
    values ??= new Map(Array.from(headers ?? [], ([key, all]) => [key, all[0] ?? ""]));
    return values.get(name) || undefined;
  };
}
