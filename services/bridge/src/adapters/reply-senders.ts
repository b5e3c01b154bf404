import type { OutgoingMessage, Sender, SendResult, ServiceBus } from "@millrace/azure";

/** Entities whose links are kept; who asks chooses the entity, and could name any number of them. */
const SENDERS_MAX = 64;

export type ReplySenders = AsyncDisposable & {
  send(entity: string, messages: readonly OutgoingMessage[]): Promise<SendResult[]>;
};

/** Senders by entity: the one that was not used for the longest time makes room. */
export function openReplySenders(serviceBus: Pick<ServiceBus, "sender">): ReplySenders {
  const senders = new Map<string, { sender: Sender; sending: number }>();
  const makeRoom = () => {
    for (const [entity, { sender, sending }] of senders) {
      if (senders.size < SENDERS_MAX) return;
      if (sending > 0) continue;
      senders.delete(entity);
      void sender[Symbol.asyncDispose]();
    }
  };
  return {
    async send(entity, messages) {
      const name = entity.toLowerCase();
      let used = senders.get(name);
      if (!used) {
        makeRoom();
        used = { sender: serviceBus.sender(entity), sending: 0 };
      }
      senders.delete(name);
      senders.set(name, used); // the last in the order
      used.sending++;
      try {
        return await used.sender.sendAll(messages);
      } finally {
        used.sending--;
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...senders.values()].map(({ sender }) => sender[Symbol.asyncDispose]()));
    },
  };
}
