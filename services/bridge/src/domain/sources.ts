import type { MessageOrigin } from "@millrace/azure";
import { isToken, type Source, sourceMistakes } from "@millrace/contracts";

/** What is wrong with a source of the bucket, in one sentence; undefined when it can be in force. */
export function sourceBucketMistake(key: string, source: Source): string | undefined {
  if (!isToken(key) || source.name !== key) return `its key is "${key}" and its name "${source.name}"`;
  const [first] = sourceMistakes(source);
  return first && `${first.at} ${first.message}`;
}

/** Where a source receives from. */
export const originOf = ({ queue, topic, subscription }: Source): MessageOrigin =>
  queue === undefined ? { topic: topic!, subscription: subscription! } : { queue };
