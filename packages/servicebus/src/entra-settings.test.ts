import { expect, test } from "vitest";
import { checkEntraSettings } from "./entra-settings.ts";

const good = {
  issuer: "https://login.example/tenant/v2.0",
  jwksUri: "http://127.0.0.1:1/keys",
  roleAssignments: [{ principalId: "app", role: "Azure Service Bus Data Sender", scope: "topic/Subscriptions/one" }],
};

test("settings are taken as they are", () => {
  expect(checkEntraSettings(good)).toBe(good);
});

test("every mistake is named, with where it stands", () => {
  const wrong = {
    jwksUri: "http://127.0.0.1:1/keys",
    audience: "x",
    roleAssignments: [{ principalId: "", role: "Sender" }],
  };
  const check = () => checkEntraSettings(wrong);
  for (const mistake of [/issuer/, /audience\)/, /principalId: /, /role: .*Azure Service Bus Data Owner/]) {
    expect(check).toThrow(mistake);
  }
});

test.each([
  [{ ...good, jwksUri: "file:///keys" }, "entra/jwksUri: file:///keys is no http or https address"],
  [
    { ...good, roleAssignments: [{ ...good.roleAssignments[0], scope: "sb://host/" }] },
    "entra/roleAssignments/0/scope: it names no entity; leave it out for the whole namespace",
  ],
])("what has the right form and no meaning is refused", (settings, mistake) => {
  expect(() => checkEntraSettings(settings)).toThrow(mistake);
});
