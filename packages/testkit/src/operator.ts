import type { Run } from "@millrace/local";
import { connect, type NatsConnection } from "nats";

/** A connection with all rights, to look at the broker past every service. The caller closes it. */
export async function connectAsOperator(run: Run): Promise<NatsConnection> {
  const nodes = run.nats.split(",").map((url) => new URL(url));
  const { username, password } = nodes[0]!;
  const servers = nodes.map(({ host }) => host);
  return await connect({ servers, user: username, pass: decodeURIComponent(password), maxReconnectAttempts: -1 });
}

/** Stores bytes under any subject, as no service would. */
export async function publishByHand(run: Run, subject: string, bytes: Uint8Array): Promise<void> {
  const connection = await connectAsOperator(run);
  try {
    await connection.jetstream().publish(subject, bytes);
  } finally {
    await connection.close();
  }
}
