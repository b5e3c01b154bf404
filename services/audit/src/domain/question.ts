import {
  AUDIT_LIMIT_DEFAULT,
  type AuditQuestion,
  AuditQuestion as AuditQuestionSchema,
  problem,
  type Result,
} from "@millrace/contracts";
import { Compile } from "typebox/compile";

/** A checked question: what to look for, where to begin, how much to give. */
export type LedgerQuery = {
  /** Request id, outcome id or event id. */
  id?: string;
  /** Columns that must equal these values. */
  equal: Partial<Record<"tenant" | "project" | "model" | "state" | "kind", string>>;
  from_ms?: number;
  to_ms?: number;
  descending: boolean;
  /** Position to go on after, in the order asked for. */
  after?: number;
  limit: number;
  withRecord: boolean;
};

const validator = Compile(AuditQuestionSchema);

/** Checks a question as it came over the wire. */
export function toQuery(question: unknown): Result<LedgerQuery> {
  if (!validator.Check(question)) {
    const first = validator.Errors(question)[0];
    return problem(
      "invalid-query",
      `the question ${first?.message ?? "has the wrong form"}`,
      first?.instancePath || "/",
    );
  }
  const { id, tenant, project, model, state, kind, from, to, order, after, limit, include } = question;
  for (const [name, time] of Object.entries({ from, to }))
    if (time !== undefined && !isTime(time))
      return problem("invalid-query", `${JSON.stringify(time)} is not an RFC 3339 time with a zone`, `/${name}`);
  return {
    ok: true,
    value: {
      ...(id === undefined ? {} : { id }),
      equal: given({ tenant, project, model, state, kind }),
      ...(from === undefined ? {} : { from_ms: Date.parse(from) }),
      ...(to === undefined ? {} : { to_ms: Date.parse(to) }),
      descending: order === "desc",
      ...(after === undefined ? {} : { after }),
      limit: limit ?? AUDIT_LIMIT_DEFAULT,
      withRecord: include === "record",
    },
  };
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const isTime = (text: string) => RFC3339.test(text) && !Number.isNaN(Date.parse(text));

type Equal = Pick<AuditQuestion, keyof LedgerQuery["equal"]>;
const given = (of: { [Name in keyof Equal]: Equal[Name] | undefined }): LedgerQuery["equal"] =>
  Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined));
