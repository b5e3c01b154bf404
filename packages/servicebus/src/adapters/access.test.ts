import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { Access } from "./access.ts";
import { Authority } from "./authority.ts";
import { ALL_RIGHTS } from "./rights.ts";

const accessKey = { name: "Root", key: "secret", rights: ALL_RIGHTS, scope: "" };
const now = () => 1_000_000;

const sign = (key: string) => {
  const sr = encodeURIComponent("sb://host/queue");
  const sig = encodeURIComponent(createHmac("sha256", key).update(`${sr}\n1060`).digest("base64"));
  return `SharedAccessSignature sr=${sr}&sig=${sig}&se=1060&skn=${accessKey.name}`;
};

test("a signature is checked as one whatever type it is put as: the Python SDK calls it a jwt", async () => {
  for (const type of ["servicebus.windows.net:sastoken", "jwt"]) {
    const access = new Access({
      authority: new Authority({ accessKeys: () => [accessKey], now }),
      now,
      exists: () => true,
    });
    const put = (body: string) =>
      access.putToken({
        application_properties: { operation: "put-token", name: "sb://host/queue", type },
        body,
      } as Parameters<typeof access.putToken>[0]);
    expect(await put(sign("another"))).toMatchObject({ status: 401 });
    expect(access.allows("queue", "listen")).toBe(false);
    expect(await put(sign(accessKey.key))).toMatchObject({ status: 202 });
    expect(access.allows("queue", "listen")).toBe(true);
  }
});
