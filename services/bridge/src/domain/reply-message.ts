import type { OutgoingMessage } from "@millrace/azure";
import type { StoredOutcome } from "@millrace/bus";
import {
  ERRORS,
  PROBLEM_MEDIA_TYPE,
  type Problem,
  type ProblemDocument,
  problemDocument,
  type ReplyTo,
  replyDestination,
  type Source,
} from "@millrace/contracts";
import { whole } from "./message.ts";

/** A reply is told from others by its correlation id: the request's `MessageId`, as enterprise clients expect it. */
const addressed = (message: OutgoingMessage, { message: id, session }: ReplyTo): OutgoingMessage => ({
  ...message,
  correlationId: id,
  ...(session === undefined ? {} : { sessionId: session }),
});

/** The outcome of a request as the reply to the message that it came in; otherwise it is as a route would send it. */
export const outcomeReply = (outcome: StoredOutcome, to: ReplyTo): OutgoingMessage =>
  addressed(whole(outcome, replyDestination(to.source)), to);

/**
 * The reply to a message that was refused: a problem document. Its id derives from the message's own key, so that a
 * refusal which is repeated after a crash is the same reply.
 */
export function refusalReply(
  problem: ProblemDocument,
  of: { to: ReplyTo; source: Source; key: string },
): OutgoingMessage {
  const { tenant, project } = of.source;
  return addressed(
    {
      messageId: `refused:${of.key}`,
      subject: "request.refused",
      contentType: PROBLEM_MEDIA_TYPE,
      body: Buffer.from(JSON.stringify(problem)),
      applicationProperties: { tenant, project, state: "refused", code: problem.code, status: problem.status },
    },
    of.to,
  );
}

/** A problem that was found here and not by ingest, in the same form. */
export const localProblem = (problem: Problem, source: Source): ProblemDocument =>
  problemDocument(problem, { instance: `servicebus:${source.name}` });

/** What stands at a dead-lettered message as the reason and its description. */
export const deadLetterText = ({
  code,
  detail,
  at,
  fix,
}: ProblemDocument): { reason: string; description: string } => ({
  reason: code,
  description: `${ERRORS[code].title}: ${detail}${at === undefined ? "" : ` (${at})`}. ${fix}`,
});
