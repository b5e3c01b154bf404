import { randomBytes } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { keyOf, signedHeaders } from "./signature.ts";

describe("signatures", () => {
  const secret = `whsec_${randomBytes(32).toString("base64")}`;
  const key = keyOf(secret);
  const body = Buffer.from('{"type":"a"}');
  const headers = signedHeaders({ id: "r-1.1:alarm", body }, key.ok ? [key.value] : [], Date.now());

  it("are accepted by the specification's own library", () =>
    expect(new Webhook(secret).verify(body, headers)).toEqual({ type: "a" }));

  it("are of both keys while one takes over from the other", () => {
    const next = `whsec_${randomBytes(32).toString("base64")}`;
    const keys = [next, secret].map(keyOf).flatMap((one) => (one.ok ? [one.value] : []));
    const both = signedHeaders({ id: "r-1.1:alarm", body }, keys, Date.now());
    for (const one of [secret, next]) expect(new Webhook(one).verify(body, both)).toEqual({ type: "a" });
  });

  it("fail when the body or the id is another", () => {
    expect(() => new Webhook(secret).verify('{"type":"b"}', headers)).toThrow();
    expect(() => new Webhook(secret).verify(body, { ...headers, "webhook-id": "r-2.1:alarm" })).toThrow();
  });

  it.each(["", "whsec_", "secret", `whsec_${randomBytes(8).toString("base64")}`, `whsec_${"%".repeat(40)}`])(
    "are not made with the secret %j, which the message does not show",
    (wrong) => {
      const result = keyOf(wrong);
      expect(result.ok).toBe(false);
      if (!result.ok && wrong.length > 6) expect(result.problem.detail).not.toContain(wrong);
    },
  );
});
