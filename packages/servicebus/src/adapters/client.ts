import type { Duplex } from "node:stream";
import type { Access } from "./access.ts";
import type { Session } from "./rhea.ts";
import type { SessionState } from "./session-state.ts";

/** One connection that speaks AMQP. */
export interface Client {
  readonly access: Access;
  readonly sessions: Map<Session, SessionState>;
  readonly socket: Duplex;
}

/** The links of a connection, with the sessions they belong to. */
export const linksOf = ({ sessions }: Client) =>
  [...sessions.values()].flatMap((state) => state.links.map((link) => ({ state, ...link })));
