import { BlobServiceClient } from "@azure/storage-blob";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openBlobs } from "./blobs.ts";
import { startAzurite } from "./testing/azurite.ts";

let azurite: Awaited<ReturnType<typeof startAzurite>>;
beforeAll(async () => {
  azurite = await startAzurite();
}, 90_000);
afterAll(() => azurite?.[Symbol.asyncDispose]());

const content = Buffer.from('{"id":"a"}');

it("stores a blob once, under its name, in a container that it makes", async () => {
  const blobs = openBlobs(azurite, "outcomes");
  const url = await blobs.putOnce("acme/plant/a.1", content, "application/json");
  expect(url).toBe(`http://127.0.0.1:${azurite.port}/test/outcomes/acme/plant/a.1`);
  const container = BlobServiceClient.fromConnectionString(azurite.connectionString).getContainerClient("outcomes");
  const stored = container.getBlobClient("acme/plant/a.1");
  expect(await stored.downloadToBuffer()).toEqual(content);
  expect((await stored.getProperties()).contentType).toBe("application/json");
});

it("takes a repeat, also of many at once, and refuses another content", async () => {
  const blobs = openBlobs(azurite, "repeats");
  const put = (bytes: Buffer) => blobs.putOnce("acme/plant/b.1", bytes, "application/json");
  const urls = await Promise.all(Array.from({ length: 8 }, () => put(content)));
  expect(new Set(urls).size).toBe(1);
  await expect(put(Buffer.from("{}"))).rejects.toThrow("with another content");
  expect(await put(content)).toBe(urls[0]);
});

it("says what is wrong without the key, and works once it can", async () => {
  const other = Buffer.from("another").toString("base64");
  const wrong = openBlobs(
    { connectionString: azurite.connectionString.replace(/AccountKey=[^;]+/, `AccountKey=${other}`) },
    "keyless",
  );
  const refused = await wrong.putOnce("d", content, "text/plain").catch((cause: unknown) => cause as Error);
  expect(String((refused as Error).message)).toContain("blob keyless/d: AuthorizationFailure");
  expect(JSON.stringify(refused, Object.getOwnPropertyNames(refused))).not.toContain(other);
  await using later = await startAzurite();
  const { port } = later;
  await later[Symbol.asyncDispose]();
  const blobs = openBlobs(later, "keyless");
  await expect(blobs.putOnce("d", content, "text/plain")).rejects.toThrow(/blob keyless\/d: .*ECONNREFUSED/);
  await using _again = await startAzurite(port);
  expect(await blobs.putOnce("d", content, "text/plain")).toContain("/keyless/d");
});
