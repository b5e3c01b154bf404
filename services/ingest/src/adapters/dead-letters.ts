import {
  type Bus,
  completeRedrive,
  decideDeadLetter,
  listDeadLetters,
  readDeadLetter,
  readDeadLetterPayload,
  readRedriveBasis,
} from "@millrace/bus";
import type { DeadLetters } from "../domain/ports.ts";

/** The dead letters of a broker's streams. */
export const openDeadLetters = (bus: Bus): DeadLetters => ({
  find: (of) => readDeadLetter(bus, of),
  list: (query, options) => listDeadLetters(bus, query, options),
  payload: (deadLetter) => readDeadLetterPayload(bus, deadLetter.record),
  basis: (deadLetter) => readRedriveBasis(bus, deadLetter),
  decide: (deadLetter, decision) => decideDeadLetter(bus, deadLetter, decision),
  redrive: (decision) => completeRedrive(bus, decision),
});
