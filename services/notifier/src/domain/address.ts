import ipaddr from "ipaddr.js";

/** Unicast by its number, and yet inside: Azure's platform endpoint answers every virtual machine there. */
const PLATFORM = new Set(["168.63.129.16"]);

/**
 * Why a webhook may not go to an address, or undefined when it may. Only public unicast addresses pass: everything that
 * ipaddr.js files under a special range (private, loopback, link-local with the cloud metadata services, unique local,
 * carrier-grade NAT, multicast, 6to4, NAT64, …) is refused, also when an IPv6 address maps such an IPv4 address.
 */
export function refusalOf(address: string): string | undefined {
  if (!ipaddr.isValid(address)) return `${address} is not an IP address`;
  const parsed = ipaddr.process(address); // unwraps ::ffff:a.b.c.d
  const range = parsed.range();
  if (range !== "unicast") return `${address} is ${range}`;
  if (PLATFORM.has(parsed.toString())) return `${address} belongs to the platform`;
  return undefined;
}

/** Which private receivers an operator allows: all, or those listed as `host:port`. */
export type PrivateReceivers = { all: boolean; hosts: ReadonlySet<string> };

/** Reads `ALLOW_PRIVATE_WEBHOOKS`: `true`, `false` or empty, or `host:port, host:port`. Throws on anything else. */
export function parsePrivateReceivers(text: string): PrivateReceivers {
  const entries = text.split(",").map((entry) => entry.trim().toLowerCase());
  const listed = entries.filter((entry) => entry !== "" && entry !== "true" && entry !== "false");
  const wrong = listed.filter((entry) => !/^(\[[0-9a-f:.]+\]|[a-z0-9._-]+):\d{1,5}$/.test(entry));
  if (wrong.length > 0 || (listed.length > 0 && entries.includes("true")))
    throw new TypeError(`${JSON.stringify(text)} is neither true, false, nor a list of host:port`);
  return { all: entries.includes("true"), hosts: new Set(listed) };
}

/** Whether a URL's host and port stand in the list. */
export function isAllowedPrivate(allowed: PrivateReceivers, url: URL): boolean {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return allowed.all || allowed.hosts.has(`${url.hostname}:${port}`);
}
