/**
 * Whether a host, as a URL has it, is this machine or a neighbour that only a container network knows: loopback, or a name
 * without a dot. Neither can be a vault of Azure's, which always stand in its domains.
 */
export const isLocalHost = (host: string): boolean =>
  host === "[::1]" || /^127(\.\d+){3}$/.test(host) || /^[a-z][a-z0-9-]{0,62}$/i.test(host);
