import { openSecret, openServiceBus, type Secret, type SecretSource, type ServiceBus } from "@millrace/azure";
import type { Scope } from "@millrace/kit";
import { type Config, serviceBusPlace } from "../config.ts";

/** Opens the namespace that the settings name. @throws ConfigError, or SecretError when its key cannot be read */
export async function openNamespace(scope: Scope<Config>): Promise<ServiceBus> {
  const place = serviceBusPlace(scope.config);
  const address = "kept" in place ? { rotated: openKept(scope, place.kept) } : place;
  return await openServiceBus(address, { webSocket: scope.config.SERVICEBUS_WEBSOCKETS });
}

/** A connection string that is kept in a file or in Key Vault, and rotated there without a restart of ours. */
function openKept({ use, log, health }: Scope<Config>, source: SecretSource): Secret {
  let unread: string | undefined;
  const secret = use(
    openSecret(source, {
      onTrouble(why) {
        unread = why;
        if (why) log.warn({ place: secret.place, why }, "the connection string cannot be read; the last one is used");
        else log.info({ place: secret.place }, "the connection string can be read again");
      },
    }),
  );
  use(secret.onChange(() => log.info({ place: secret.place }, "another connection string is in use from now on")));
  health.check("connection string", () => (unread === undefined ? { ok: true } : { ok: false, detail: unread }));
  return secret;
}
