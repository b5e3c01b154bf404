import type { AuditAnswer, AuditPage, AuditQuestion } from "@millrace/contracts";
import type { FastifyReply, FastifyRequest } from "fastify";
import { onlyProject } from "../domain/grants.ts";
import type { Ledger } from "../domain/ports.ts";
import type { Handler } from "./call.ts";
import { refuse } from "./problems.ts";

/** `GET /v1/audit/entries`: only of a project that the token grants `audit` on. */
export const onAuditEntries =
  ({ ledger }: { ledger: Ledger }): Handler =>
  async (request, reply) => {
    const { query, caller } = request.call;
    const question = query as AuditQuestion;
    const project = onlyProject(caller, "audit", question);
    if (!project.ok) return refuse(request, reply, project.problem);
    const page = await ask(request, reply, ledger, { ...question, ...project.value });
    return page ?? reply;
  };

/** `GET /v1/audit/head`: the end of the chain. It says nothing of any project. */
export const onAuditHead =
  ({ ledger }: { ledger: Ledger }): Handler =>
  async (request, reply) => {
    const page = await ask(request, reply, ledger, { limit: 0 });
    return page?.head ?? reply;
  };

async function ask(
  request: FastifyRequest,
  reply: FastifyReply,
  ledger: Ledger,
  question: AuditQuestion,
): Promise<AuditPage | undefined> {
  let answer: AuditAnswer;
  try {
    answer = await ledger.ask(question);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    void refuse(request, reply, { code: "unavailable", detail: `the audit service does not answer (${why})` });
    return undefined;
  }
  if (!("problem" in answer)) return answer;
  void refuse(request, reply, answer.problem);
  return undefined;
}
