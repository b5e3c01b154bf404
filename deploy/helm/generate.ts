import { natsAccounts } from "@millrace/contracts/nats-users";

/** The Secret of all passwords, a key per user; the chart's values `nats.passwords.secret` names the same. */
const SECRET = "millrace-nats";

const variable = (user: string) => `NATS_PASSWORD_${user.toUpperCase()}`;

/**
 * Values of the official nats chart that follow from contracts: who may connect and say what, each password in a variable
 * from the Secret. `<< >>` is that chart's way to say that a text is no string.
 */
export function natsUsers() {
  const accounts = natsAccounts((user) => `<< $${variable(user)} >>`);
  const users = Object.values(accounts).flatMap((account) => account.users.map(({ user }) => user));
  const env = users.map(
    (user) => [variable(user), { valueFrom: { secretKeyRef: { name: SECRET, key: user } } }] as const,
  );
  return { config: { merge: { system_account: "SYS", accounts } }, container: { env: Object.fromEntries(env) } };
}
