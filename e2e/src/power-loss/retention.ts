import { type Bus, deleteMessage } from "@millrace/bus";
import { REQUESTS_TENSOR } from "@millrace/contracts";

const AT_ONCE = 4;

/**
 * Deletes requests one by one, as retention does: the server writes tombstones among the messages and compacts files
 * that are half empty, both of which must not cost a message that stays.
 */
export function startRetention(operator: Bus, requests: readonly { id: string; sequence: number }[]) {
  const queue = [...requests];
  const begun: string[] = [];
  let stopping = false;
  const worker = async () => {
    while (!stopping) {
      const request = queue.pop();
      if (request === undefined) return;
      begun.push(request.id);
      try {
        await deleteMessage(operator, REQUESTS_TENSOR.name, request.sequence);
      } catch {
        return; // the broker is gone, or was about to be
      }
    }
  };
  void Promise.all(Array.from({ length: AT_ONCE }, worker));
  return {
    /** @returns the ids whose deletion was asked for: they may be gone or not */
    stop(): readonly string[] {
      stopping = true;
      return begun;
    },
  };
}
