import { createHmac } from "node:crypto";
import tls from "node:tls";
import { inspect } from "node:util";
import { ServiceBusAdministrationClient, ServiceBusClient, type TokenCredential } from "@azure/service-bus";
import { generateKeyPair } from "jose";
import { describe, expect, test } from "vitest";
import { type EntraSettings, start } from "./index.ts";
import { credentialOf, openIssuer } from "./testing/entra-issuer.ts";
import { configOf, eventually, noRenewal, nothing, one } from "./testing/local-broker.ts";

const config = configOf({
  Queues: [
    { Name: "work", Properties: { LockDuration: "PT5S" } },
    { Name: "unique", Properties: { RequiresDuplicateDetection: true } },
  ],
  Topics: [{ Name: "news", Subscriptions: [{ Name: "all" }] }],
});

const withoutRetries = { retryOptions: { maxRetries: 0, timeoutInMs: 5_000 } };
const withRetries = { retryOptions: { maxRetries: 5, retryDelayInMs: 50, timeoutInMs: 4_000 } };
const owner: EntraSettings["roleAssignments"] = [{ principalId: "app", role: "Azure Service Bus Data Owner" }];

/** A broker that trusts an issuer, and the unmodified SDK with a credential, over TLS as it wants. */
async function open(roleAssignments: EntraSettings["roleAssignments"] = owner) {
  const issuer = await openIssuer();
  const entra = issuer.settings(roleAssignments);
  const broker = await start({ port: 0, host: "127.0.0.1", config, entra });
  // What an application does with NODE_EXTRA_CA_CERTS, which a process reads once, when it begins.
  tls.setDefaultCACertificates([broker.certificate]);
  const clients: ServiceBusClient[] = [];
  return {
    issuer,
    broker,
    host: `localhost:${broker.port}`,
    connect(credential: TokenCredential, options = withoutRetries) {
      const client = new ServiceBusClient(`localhost:${broker.port}`, credential, options);
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client.close();
      await broker.close();
      await issuer[Symbol.asyncDispose]();
    },
  };
}

const send = (client: ServiceBusClient, entity = "work") =>
  client.createSender(entity).sendMessages({ body: "x", messageId: "x" });

describe("tokens", () => {
  test("a good one sends, receives and asks the management node", async () => {
    await using it = await open();
    const client = it.connect(credentialOf(() => it.issuer.token()));
    await send(client);
    const receiver = client.createReceiver("work", noRenewal);
    expect(await receiver.peekMessages(1)).toHaveLength(1);
    await receiver.completeMessage(await one(receiver));
    expect(it.broker.inspect("work")).toMatchObject({ active: 0, enqueued: 1 });
    expect(it.issuer.fetches).toBe(1);
  });

  test("the audience may end with a slash", async () => {
    await using it = await open();
    await send(it.connect(credentialOf(() => it.issuer.token({ aud: "https://servicebus.azure.net/" }))));
  });

  const past = Math.floor(Date.now() / 1000) - 60;
  type Issuer = Awaited<ReturnType<typeof openIssuer>>;
  test.each<[string, (issuer: Issuer) => string | Promise<string>, string]>([
    ["another key", async (issuer) => issuer.token({}, { key: await anotherKey() }), "does not fit the issuer's key"],
    ["an unknown key", (issuer) => issuer.token({}, { kid: "two" }), "no key of the token's key id"],
    ["another audience", (issuer) => issuer.token({ aud: "https://vault.azure.net" }), "for another audience"],
    ["no time left", (issuer) => issuer.token({ exp: past }), "the token has expired"],
    ["its time still to come", (issuer) => issuer.token({ nbf: past + 3_600 }), "not valid yet"],
    ["another issuer", (issuer) => issuer.token({ iss: "https://login.example/other/v2.0" }), "of another issuer"],
    ["no expiry", (issuer) => issuer.token({ exp: undefined }), "no expiry"],
    ["no principal", (issuer) => issuer.token({ oid: undefined }), "no oid claim"],
    ["no signature", async (issuer) => unsigned(await issuer.token()), "algorithm is not RS256"],
    ["nothing of a token", () => "bm90.YW55.dG9rZW4", "no JSON Web Token"],
  ])("one with %s is refused, and the reason does not show it", async (_case, make, why) => {
    await using it = await open();
    const token = await make(it.issuer);
    const failure = await send(it.connect(credentialOf(() => token))).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "UnauthorizedAccess", message: expect.stringContaining(why) });
    for (const part of token.split(".").filter(Boolean)) expect((failure as Error).message).not.toContain(part);
    expect(it.broker.inspect("work").enqueued).toBe(0);
  });

  test("tokens do not make the broker ask its issuer for keys again and again", async () => {
    await using it = await open();
    it.issuer.broken = true;
    const client = it.connect(credentialOf(() => it.issuer.token()));
    for (let n = 0; n < 5; n++) await expect(send(client)).rejects.toMatchObject({ code: "ServiceBusy" });
    expect(it.issuer.fetches).toBeLessThan(5);
    it.issuer.broken = false;
    await eventually(async () => (await send(client).catch((error: unknown) => error)) === undefined);
    const before = it.issuer.fetches;
    const unknown = it.connect(credentialOf(() => it.issuer.token({}, { kid: crypto.randomUUID() })));
    for (let n = 0; n < 5; n++) await expect(send(unknown)).rejects.toMatchObject({ code: "UnauthorizedAccess" });
    expect(it.issuer.fetches).toBe(before);
  });

  test("a broker without Entra settings accepts none", async () => {
    await using it = await open();
    await using plain = await start({ port: 0, host: "127.0.0.1", config });
    tls.setDefaultCACertificates([plain.certificate]);
    const credential = credentialOf(() => it.issuer.token());
    const client = new ServiceBusClient(`localhost:${plain.port}`, credential, withoutRetries);
    await expect(send(client)).rejects.toMatchObject({ code: "UnauthorizedAccess" });
    await client.close();
  });
});

describe("roles", () => {
  test("a sender may send, also for later, and not receive or look", async () => {
    await using it = await open([{ principalId: "APP", role: "Azure Service Bus Data Sender" }]);
    const client = it.connect(credentialOf(() => it.issuer.token()));
    await send(client);
    await client.createSender("work").scheduleMessages({ body: "later" }, new Date(Date.now() + 60_000));
    const unauthorized = { code: "UnauthorizedAccess", message: expect.stringContaining("'Listen' claim(s)") };
    const receiver = client.createReceiver("work", noRenewal);
    await expect(receiver.receiveMessages(1, { maxWaitTimeInMs: 1_000 })).rejects.toMatchObject(unauthorized);
    await expect(receiver.peekMessages(1)).rejects.toMatchObject(unauthorized);
    expect(it.broker.inspect("work")).toMatchObject({ active: 1, scheduled: 1 });
  });

  test("a receiver may receive and not send, also not for later", async () => {
    await using it = await open([{ principalId: "app", role: "Azure Service Bus Data Receiver" }]);
    const client = it.connect(credentialOf(() => it.issuer.token()));
    const unauthorized = { code: "UnauthorizedAccess", message: expect.stringContaining("'Send' claim(s)") };
    await expect(send(client)).rejects.toMatchObject(unauthorized);
    const later = client.createSender("work").scheduleMessages({ body: "x" }, new Date(Date.now() + 60_000));
    await expect(later).rejects.toMatchObject(unauthorized);
    expect(await nothing(client.createReceiver("work", noRenewal))).toBe(true);
  });

  test("a role reaches its scope: a topic with its subscriptions, and nothing else", async () => {
    await using it = await open([
      { principalId: "app", role: "Azure Service Bus Data Sender", scope: "News" },
      { principalId: "app", role: "Azure Service Bus Data Receiver", scope: "news" },
    ]);
    const client = it.connect(credentialOf(() => it.issuer.token()));
    await send(client, "news");
    await one(client.createReceiver("news", "all", noRenewal));
    await expect(send(client, "work")).rejects.toMatchObject({ code: "UnauthorizedAccess" });
  });

  test("who has none may do nothing", async () => {
    await using it = await open();
    const client = it.connect(credentialOf(() => it.issuer.token({ oid: "stranger" })));
    await expect(send(client)).rejects.toMatchObject({ code: "UnauthorizedAccess" });
  });

  test("entities are administered by an owner only", async () => {
    await using it = await open([...owner, { principalId: "sender", role: "Azure Service Bus Data Sender" }]);
    const administer = (oid: string) => {
      const credential = credentialOf(() => it.issuer.token({ oid }));
      return new ServiceBusAdministrationClient(it.host, credential, { retryOptions: { maxRetries: 0 } });
    };
    await administer("app").createQueue("made");
    await expect(administer("sender").createQueue("more")).rejects.toMatchObject({ code: "UnauthorizedRequestError" });
    await expect(administer("sender").getQueue("made")).rejects.toMatchObject({ code: "UnauthorizedRequestError" });
    expect(it.broker.inspect("made").active).toBe(0);
  });
});

describe("a token that expires while its link lives", () => {
  test("takes the sender's link; the next message goes with a fresh token", async () => {
    await using it = await open();
    const credential = credentialOf(() => it.issuer.token({ exp: inSeconds(3) }));
    const sender = it.connect(credential, withRetries).createSender("unique");
    let sent = 0;
    const send = () => sender.sendMessages({ body: sent, messageId: `m-${sent++}` });
    await send();
    await send();
    expect(credential.asked).toBe(1);
    await eventually(async () => {
      await send();
      return credential.asked >= 2;
    }, 60_000);
    expect(it.broker.inspect("unique").active).toBe(sent);
  });

  test("takes the receiver's link; it comes again with a fresh token and gets every message", async () => {
    await using it = await open();
    const credential = credentialOf(() => it.issuer.token({ exp: inSeconds(3) }));
    const client = it.connect(credential, withRetries);
    const bodies: unknown[] = [];
    const errors: unknown[] = [];
    client.createReceiver("work").subscribe({
      processMessage: async ({ body }) => void bodies.push(body),
      processError: async ({ error }) => void errors.push(error),
    });
    const steady = it.connect(credentialOf(() => it.issuer.token())).createSender("work");
    let sent = 0;
    await eventually(async () => {
      await steady.sendMessages({ body: sent, messageId: `m-${sent++}` });
      return credential.asked >= 3;
    }, 30_000);
    await eventually(() => new Set(bodies).size === sent, 30_000);
    expect(errors).toContainEqual(expect.objectContaining({ code: "UnauthorizedAccess" }));
    // One that was being completed when the link went comes again when its lock runs out.
    await eventually(() => it.broker.inspect("work").active === 0, 60_000);
  });

  test("takes the link of a shared access signature too", async () => {
    await using it = await open();
    const key = /SharedAccessKey=([^;]+)/.exec(it.broker.connectionString)![1]!;
    const resource = encodeURIComponent(`sb://${it.host}/work`);
    const expiry = inSeconds(3);
    const signature = createHmac("sha256", key).update(`${resource}\n${expiry}`).digest("base64");
    const token = `sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=RootManageSharedAccessKey`;
    const endpoint = `Endpoint=sb://${it.host};SharedAccessSignature=SharedAccessSignature ${token}`;
    const client = new ServiceBusClient(`${endpoint};UseDevelopmentEmulator=true`, withRetries);
    const sender = client.createSender("work");
    await sender.sendMessages({ body: "x" });
    await eventually(async () => {
      const failure = await sender.sendMessages({ body: "y" }).catch((error: unknown) => error);
      return failure !== undefined && inspect(failure).includes("ExpiredToken: The token is expired");
    }, 60_000);
    await client.close();
  });

  test("keeps its link when it is renewed before", async () => {
    await using it = await open();
    const credential = credentialOf(() => it.issuer.token({ exp: inSeconds(3) }), 1_000);
    const client = it.connect(credential, withRetries);
    const errors: unknown[] = [];
    const bodies: unknown[] = [];
    client.createReceiver("work").subscribe({
      processMessage: async ({ body }) => void bodies.push(body),
      processError: async ({ error }) => void errors.push(error),
    });
    await eventually(() => credential.asked >= 9, 60_000);
    await send(it.connect(credentialOf(() => it.issuer.token())));
    await eventually(() => bodies.length === 1);
    expect(errors).toEqual([]);
  });
});

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

const anotherKey = async () => (await generateKeyPair("RS256")).privateKey;

/** What an attacker tries first (RFC 8725, 3.1). */
function unsigned(token: string): string {
  const header = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  return `${header}.${token.split(".")[1]}.`;
}
