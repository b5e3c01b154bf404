import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { ALL_RIGHTS } from "./rights.ts";
import { checkSharedAccessSignature, covers, entityPath } from "./sas.ts";

const accessKey = { name: "Root", key: "secret", rights: ALL_RIGHTS, scope: "" };
const now = 1_000_000;

function sign({
  resource = "sb://host/queue",
  expiresAt = now + 60_000,
  key = accessKey.key,
  name = accessKey.name,
} = {}) {
  const sr = encodeURIComponent(resource);
  const se = String(expiresAt / 1000);
  const sig = encodeURIComponent(createHmac("sha256", key).update(`${sr}\n${se}`).digest("base64"));
  return `SharedAccessSignature sr=${sr}&sig=${sig}&se=${se}&skn=${name}`;
}

const check = (token: string, audience = "sb://host/queue") =>
  checkSharedAccessSignature(token, { audience, accessKeys: [accessKey], now });

test("a token signed with the key for the entity, or for a parent of it, is good until it expires", () => {
  expect(check(sign())).toEqual({ ok: true, expiresAt: now + 60_000, accessKey });
  expect(check(sign({ resource: "sb://host/" }))).toMatchObject({ ok: true });
  expect(check(sign(), "sb://HOST/Queue/$management")).toMatchObject({ ok: true });
});

test.each([
  ["another key", sign({ key: "other" }), "the signature does not fit the key"],
  ["another key name", sign({ name: "Other" }), "the key name is unknown"],
  ["no time left", sign({ expiresAt: now }), "the token has expired"],
  ["another entity", sign({ resource: "sb://host/other" }), "the token was signed for another audience"],
  ["a name that only begins alike", sign({ resource: "sb://host/que" }), "the token was signed for another audience"],
  ["a changed expiry", sign().replace(/se=\d+/, "se=9999999999"), "the signature does not fit the key"],
  ["what is not well encoded", "SharedAccessSignature sr=%&sig=%&se=1&skn=Root", "the signature does not fit the key"],
  ["no signature", "SharedAccessSignature sr=a&se=1&skn=Root", "the token lacks one of sr, sig, se, skn"],
  ["another kind of token", "eyJhbGciOi", "the token is not a shared access signature"],
])("%s is refused", (_case, token, why) => {
  expect(check(token)).toMatchObject({ ok: false, why });
});

test("scopes end at segments", () => {
  expect(covers("queue", "queue/$management")).toBe(true);
  expect(covers("queue", "queue2")).toBe(false);
  expect(covers("", "anything")).toBe(true);
});

test("addresses come as names or as URIs", () => {
  expect(entityPath("sb://host:5672/topic/Subscriptions/s/")).toBe("topic/Subscriptions/s");
  expect(entityPath("queue")).toBe("queue");
});
