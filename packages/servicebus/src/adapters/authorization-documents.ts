import { randomBytes } from "node:crypto";
import type { AuthorizationRule } from "../config.ts";
import { child, childText, textElement, type XmlElement } from "./xml.ts";

const KEY_BYTES = 32;

/** Reads the `AuthorizationRules` of a description; keys that are not given are made, as Azure does. */
export function readAuthorizationRules(element: XmlElement): AuthorizationRule[] {
  return element.children
    .filter(({ name }) => name === "AuthorizationRule")
    .map((rule) => {
      const rights = child(rule, "Rights")?.children.filter(({ name }) => name === "AccessRights") ?? [];
      return {
        KeyName: childText(rule, "KeyName") ?? "",
        Rights: rights.map(({ text }) => text) as AuthorizationRule["Rights"], // checked with the configuration
        PrimaryKey: childText(rule, "PrimaryKey") ?? newKey(),
        SecondaryKey: childText(rule, "SecondaryKey") ?? newKey(),
      };
    });
}

export function describeAuthorizationRules(rules: readonly AuthorizationRule[]): string {
  if (rules.length === 0) return "<AuthorizationRules/>";
  return `<AuthorizationRules>${rules.map(describe).join("")}</AuthorizationRules>`;
}

const describe = ({ KeyName, Rights, PrimaryKey, SecondaryKey }: AuthorizationRule) =>
  [
    '<AuthorizationRule i:type="SharedAccessAuthorizationRule">',
    textElement("ClaimType", "SharedAccessKey"),
    textElement("ClaimValue", "None"),
    `<Rights>${Rights.map((right) => textElement("AccessRights", right)).join("")}</Rights>`,
    textElement("KeyName", KeyName),
    textElement("PrimaryKey", PrimaryKey),
    textElement("SecondaryKey", SecondaryKey),
    "</AuthorizationRule>",
  ].join("");

const newKey = () => randomBytes(KEY_BYTES).toString("base64");
