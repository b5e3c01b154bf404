import { type LedgerPositions, LedgerPositionsQuestion } from "@millrace/contracts";
import { Value } from "typebox/value";
import type { Ledger } from "../adapters/ledger.ts";

/** Says which positions of a stream the ledger has rows of, for whoever checks the books. */
export const onPositionsAsked =
  (ledger: Pick<Ledger, "positions">) =>
  (question: unknown): LedgerPositions => {
    if (!Value.Check(LedgerPositionsQuestion, question)) throw new Error("not a question about positions");
    return ledger.positions(question.stream, question.after);
  };
