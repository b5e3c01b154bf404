import type { ComposeFile, Service } from "./compose-files.ts";

/** Images that are not ours run as their makers built them, where they cannot do otherwise. */
const OF_MICROSOFT = /^mcr\.microsoft\.com\//;
/** The one capability that is given, and to whom: SQL Server's file has it, and is not started without. */
const MAY_HAVE = { image: /^mcr\.microsoft\.com\/mssql\/server:/, capability: "NET_BIND_SERVICE" };

/**
 * What every service of a file must be: contained, bounded, pinned, on loopback only, and with nobody's configuration but its
 * own. A service without an image changes one of another file, and is judged by what it brings.
 */
export function mistakesIn({ name: file, services }: Pick<ComposeFile, "name" | "services">): string[] {
  return Object.entries(services).flatMap(([name, service]) =>
    [...contained(service), ...pinned(service), ...published(service), ...ownConfiguration(name, service)].map(
      (mistake) => `${file}: ${name}: ${mistake}`,
    ),
  );
}

function contained(service: Service): string[] {
  const { image, user } = service;
  if (image === undefined) return [];
  const mistakes: string[] = [];
  const want = (holds: boolean, what: string) => {
    if (!holds) mistakes.push(what);
  };
  const has = (list: unknown, entry: string) => Array.isArray(list) && list.includes(entry);
  want(has(service.cap_drop, "ALL"), "drops not all capabilities");
  want(has(service.security_opt, "no-new-privileges:true"), "may gain privileges");
  const added = (service.cap_add ?? []) as readonly string[];
  const mayHave = added.every((it) => it === MAY_HAVE.capability && MAY_HAVE.image.test(image));
  want(service.privileged === undefined && mayHave, "is given privileges");
  for (const limit of ["mem_limit", "cpus", "pids_limit", "logging", "restart", "stop_grace_period"])
    want(service[limit] !== undefined, `has no ${limit}`);
  if (OF_MICROSOFT.test(image)) return mistakes;
  want(/^[1-9]\d*:\d+$/.test(user ?? ""), "does not run as a numbered user other than root");
  want(service.read_only === true, "may write to its root file system");
  return mistakes;
}

/** A tag that names one version; ours is that of the deployment. */
function pinned({ image }: Service): string[] {
  if (image === undefined || /^millrace\/[a-z]+:\$\{MILLRACE_VERSION:-dev\}$/.test(image)) return [];
  return /:v?\d+(\.\d+)*\.\d+(-[\w.-]+)?$|:\d{4}-CU\d+-[\w.-]+$/.test(image) ? [] : [`${image} is no exact version`];
}

function published({ ports = [], container_name }: Service): string[] {
  const wide = ports
    .filter((port) => !String(port).startsWith("127.0.0.1:"))
    .map((port) => `${port} is published on all`);
  return container_name === undefined ? wide : [...wide, "has a container_name, so it cannot be scaled"];
}

function ownConfiguration(name: string, { volumes = [], image }: Service): string[] {
  if (name === "prepare") return [];
  return volumes
    .filter((volume) => /^config-/.test(volume))
    .flatMap((volume) => {
      const [from = "", , mode] = volume.split(":");
      const of = from.slice("config-".length);
      const own = of === name || (of === "nats" && image?.startsWith("nats:"));
      return [...(own ? [] : [`sees the configuration of ${of}`]), ...(mode === "ro" ? [] : [`may write to ${from}`])];
    });
}
