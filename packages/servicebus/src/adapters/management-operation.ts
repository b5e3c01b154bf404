import type { Namespace } from "../domain/namespace.ts";
import type { MessageQueue } from "../domain/queue.ts";
import type { Target } from "../domain/target.ts";
import type { NodeResponse } from "./request-node.ts";
import { types } from "./rhea.ts";

/** What a `$management` request is about: a queue is both, a topic a target only, a subscription a queue only. */
export interface ManagedEntity {
  readonly name: string;
  readonly namespace: Namespace;
  readonly queue: MessageQueue | undefined;
  readonly target: Target | undefined;
}

export type Body = Readonly<Record<string, unknown>>;
export type Operation = (entity: ManagedEntity, body: Body) => NodeResponse;

/** An operation on stored messages, which a topic has none of. */
export const onQueue =
  (operation: (queue: MessageQueue, body: Body) => NodeResponse): Operation =>
  ({ queue, name }, body) => {
    queue?.use();
    return queue ? operation(queue, body) : failure(404, "amqp:not-found", `${name} holds no messages.`);
  };

/** An operation on what is sent, which a subscription takes none of. */
export const onTarget =
  (operation: (namespace: Namespace, target: Target, body: Body) => NodeResponse): Operation =>
  ({ namespace, target, name }, body) =>
    target
      ? operation(namespace, target, body)
      : failure(404, "amqp:not-found", `${name} is neither a queue nor a topic.`);

export const ok = (body: Body): NodeResponse => ({ status: 200, description: "OK", body });

export const nothingFound = (description: string): NodeResponse => ({ status: 204, description });

export const failure = (status: number, errorCondition: string, description: string): NodeResponse => ({
  status,
  errorCondition,
  description,
});

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** rhea gives a long as a number, or as bytes where a number cannot hold it. */
export const longOf = (value: unknown): number =>
  Buffer.isBuffer(value) ? Number(value.readBigInt64BE(0)) : Number(value ?? 0);

const LONG = 0x81;

export const longs = (values: readonly number[]) => types.wrap_array(values, LONG);
