import { createHash } from "node:crypto";
import type { ContainerClient, StoragePipelineOptions } from "@azure/storage-blob";
import { blobServiceUrl } from "./cloud.ts";
import { credential } from "./credential.ts";

/** Where blobs are: with a connection string (keys), or a storage account's name or URL, with the process's own identity. */
export type BlobAddress = { connectionString: string } | { account: string };

/** A container whose blobs are written once. */
export type Blobs = {
  /**
   * Stores a blob unless it is there; a repeat with the same content is no error. Answers its URL, without any credential.
   * @throws Error when it cannot be stored, or is there with another content; the message names no secret
   */
  putOnce(name: string, content: Buffer, contentType: string): Promise<string>;
};

/** The SDK's own default, five minutes of tries, would hide an outage; callers here try again. */
const OPTIONS: StoragePipelineOptions = { retryOptions: { maxTries: 2, tryTimeoutInMs: 15_000, retryDelayInMs: 500 } };

/** Opens a container; nothing is connected, and the SDK not loaded, before the first blob. */
export function openBlobs(address: BlobAddress, container: string): Blobs {
  let opened: Promise<ContainerClient> | undefined;
  const open = () => {
    opened ??= openContainer(address, container).catch((cause: unknown) => {
      opened = undefined; // the next one tries again
      throw cause;
    });
    return opened;
  };
  return {
    async putOnce(name, content, contentType) {
      try {
        const blob = (await open()).getBlockBlobClient(name);
        const url = new URL(blob.url);
        url.search = ""; // a shared access signature
        try {
          await blob.upload(content, content.byteLength, {
            conditions: { ifNoneMatch: "*" },
            blobHTTPHeaders: { blobContentType: contentType },
          });
        } catch (cause) {
          // Which of the two codes comes depends on whether the other write has ended.
          if (!["BlobAlreadyExists", "ConditionNotMet"].includes(codeOf(cause))) throw cause;
          if (sha256(await blob.downloadToBuffer()) !== sha256(content))
            throw new Error("a blob of this name is there, with another content");
        }
        return url.href;
      } catch (cause) {
        // Without the cause: the SDK keeps the request with its headers in it.
        const code = codeOf(cause);
        throw new Error(`blob ${container}/${name}: ${code && `${code}: `}${firstLine(cause)}`);
      }
    },
  };
}

async function openContainer(address: BlobAddress, container: string): Promise<ContainerClient> {
  const { BlobServiceClient } = await import("@azure/storage-blob");
  const service =
    "connectionString" in address
      ? BlobServiceClient.fromConnectionString(address.connectionString, OPTIONS)
      : new BlobServiceClient(blobServiceUrl(address.account), credential(), OPTIONS);
  const client = service.getContainerClient(container);
  // Who may write blobs need not be who makes containers: then it has to be there.
  await client.createIfNotExists().catch((cause: unknown) => {
    if ((cause as { statusCode?: number }).statusCode !== 403) throw cause;
  });
  return client;
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const codeOf = (cause: unknown): string => String((cause as { code?: unknown }).code ?? "");
const firstLine = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0]!;
