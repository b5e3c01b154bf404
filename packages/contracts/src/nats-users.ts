import { USERS, type UserPermissions } from "./permissions.ts";

/** The user of the system account, who can read the server's settings. */
export const SYSTEM_USER = "system";

/**
 * The accounts of nats-server's configuration: every user of {@link USERS} in one, the user who reads settings in the other.
 * @param passwordOf what stands as a user's password: the password, or the variable that has it
 */
export function natsAccounts(
  passwordOf: (user: string) => string,
  users: Readonly<Record<string, UserPermissions>> = USERS,
) {
  return {
    MILLRACE: {
      jetstream: "enabled",
      users: Object.entries(users).map(([user, granted]) => ({
        user,
        password: passwordOf(user),
        permissions: permissions(granted),
      })),
    },
    SYS: { users: [{ user: SYSTEM_USER, password: passwordOf(SYSTEM_USER) }] },
  };
}

/** A list in `allow` denies everything else; an empty list denies all of it. */
function permissions({ publish, subscribe, allowResponses }: UserPermissions) {
  const only = (subjects: readonly string[]) => (subjects.length > 0 ? { allow: subjects } : { deny: [">"] });
  return {
    publish: only(publish),
    subscribe: only(subscribe),
    // As long as the slowest answer may take: the books of millions of requests.
    ...(allowResponses ? { allow_responses: { max: 1, expires: "6m" } } : {}),
  };
}
