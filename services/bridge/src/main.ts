import { openBlobs } from "@millrace/azure";
import { openBus } from "@millrace/bus";
import { runService } from "@millrace/kit";
import { openNamespace } from "./adapters/namespace.ts";
import { readRoutesFile } from "./adapters/routes-file.ts";
import { blobAddress, Config } from "./config.ts";
import { watchDeadLetters } from "./dead-letter-watch.ts";
import { watchedEntities } from "./domain/dead-letter-look.ts";
import { openInbound } from "./inbound.ts";
import { openOutbound } from "./outbound.ts";

await runService("bridge", Config, async (scope) => {
  const file = await readRoutesFile(scope.config.ROUTES_FILE);
  const storage = blobAddress(scope.config);
  const blobs = storage && openBlobs(storage, scope.config.BLOB_CONTAINER);
  const serviceBus = scope.use(await openNamespace(scope));
  const bus = await openBus(scope);
  scope.use(await openOutbound(scope, { bus, serviceBus, blobs, file }));
  scope.use(await openInbound(scope, { bus, serviceBus, sources: file.sources ?? [] }));
  scope.use(await watchDeadLetters(scope, { bus, serviceBus, entities: watchedEntities(file) }));
});
