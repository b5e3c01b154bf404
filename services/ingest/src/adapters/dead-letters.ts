import {
  type Bus,
  completeRedrive,
  decideDeadLetter,
  type Lanes,
  listDeadLetters,
  readDeadLetter,
  readDeadLetterAt,
  readDeadLetterPayload,
  readRedriveBasis,
} from "@millrace/bus";
import type { DeadLetters } from "../domain/ports.ts";

/** The dead letters of a broker's streams. */
export const openDeadLetters = (bus: Bus, lanes: Pick<Lanes, "register">): DeadLetters => ({
  find: (of) => readDeadLetter(bus, of),
  findAt: (of, sequence) => readDeadLetterAt(bus, of, sequence),
  list: (query, options) => listDeadLetters(bus, query, options),
  payload: (deadLetter) => readDeadLetterPayload(bus, deadLetter.record),
  basis: (deadLetter) => readRedriveBasis(bus, deadLetter),
  decide: (deadLetter, decision) => decideDeadLetter(bus, deadLetter, decision),
  async redrive(decision) {
    // At another priority it may be the first of its lane: workers hear of it before it is there.
    await lanes.register({ kind: "tensor", ...decision });
    return await completeRedrive(bus, decision);
  },
});
