import { createHash } from "node:crypto";

/**
 * The hash chain of docs/adr/0003-ledger-canonical-bytes.md. The first byte separates leaves from nodes, as in RFC 6962
 * §2.1, so that no leaf can be passed off as a node.
 */
const LEAF = Uint8Array.of(0x00);
const NODE = Uint8Array.of(0x01);

/** The chain hash before the first entry. */
export const GENESIS: Uint8Array = new Uint8Array(32);

/** SHA-256(0x00 ‖ canonical bytes); 32 bytes. */
export const leafHash = (canonical: Uint8Array): Uint8Array =>
  createHash("sha256").update(LEAF).update(canonical).digest();

/** SHA-256(0x01 ‖ previous chain hash ‖ leaf hash); 32 bytes. */
export const chainHash = (previous: Uint8Array, leaf: Uint8Array): Uint8Array =>
  createHash("sha256").update(NODE).update(previous).update(leaf).digest();

/** `sha256:<hex>`: how hashes are written in answers. */
export const written = (hash: Uint8Array): string => `sha256:${Buffer.from(hash).toString("hex")}`;
