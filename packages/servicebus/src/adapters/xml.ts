import { XMLParser, XMLValidator } from "fast-xml-parser";

/** An element of the documents that the administration API exchanges. Names come without their prefix. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  readonly text: string;
}

/** An element as the parser gives it: its name with what is in it, in order, and perhaps its attributes. */
type Node = { readonly [ATTRIBUTES]?: Readonly<Record<string, string>> } & Readonly<Record<string, Node[] | string>>;

const MAX_DEPTH = 32;
const MAX_LENGTH = 256 * 1024;
const ATTRIBUTES = ":@";
const TEXT = "#text";
const CDATA = "#cdata";
const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** Entities are left alone: the few there are without a document type are resolved below, so nothing can grow. */
const parser = new XMLParser({
  preserveOrder: true,
  removeNSPrefix: true,
  ignoreAttributes: false,
  attributeNamePrefix: "",
  textNodeName: TEXT,
  cdataPropName: CDATA,
  parseTagValue: false,
  trimValues: false,
  processEntities: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
  maxNestedTags: MAX_DEPTH,
});

/**
 * Reads elements, attributes and text: what the SDKs send. Document types are refused, and what is too long or too deep.
 * @returns undefined when it is refused, or not well-formed
 */
export function parseXml(source: string): XmlElement | undefined {
  const document = source.replace(/^\uFEFF/, "").trim();
  if (document.length > MAX_LENGTH || /<!DOCTYPE/i.test(document)) return undefined;
  try {
    if (XMLValidator.validate(document) !== true) return undefined;
    const roots = (parser.parse(document) as Node[]).filter((node) => !(TEXT in node));
    return roots.length === 1 ? elementOf(roots[0]!) : undefined;
  } catch {
    return undefined; // too deep, or a name that the parser refuses to make a property of
  }
}

function elementOf(node: Node): XmlElement {
  const name = nameOf(node);
  const content = node[name] as Node[];
  const attributes = Object.entries(node[ATTRIBUTES] ?? {}).map(([key, value]) => [key, unescapeXml(value)]);
  return {
    name,
    attributes: Object.fromEntries(attributes),
    children: content.filter((one) => ![TEXT, CDATA].includes(nameOf(one))).map(elementOf),
    text: content.map(textOf).join(""),
  };
}

const nameOf = (node: Node): string => Object.keys(node).find((key) => key !== ATTRIBUTES)!;

function textOf(node: Node): string {
  if (CDATA in node) return (node[CDATA] as Node[]).map((one) => one[TEXT]).join("");
  return TEXT in node ? unescapeXml(node[TEXT] as string) : "";
}

export const child = (element: XmlElement | undefined, name: string): XmlElement | undefined =>
  element?.children.find((one) => one.name === name);

/** The text of a child; undefined where there is none, or nothing in it. */
export const childText = (element: XmlElement | undefined, name: string): string | undefined =>
  child(element, name)?.text || undefined;

export const escapeXml = (text: string): string =>
  text
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, "\uFFFD")
    .replace(/[&<>"]/g, (char) => NAMED[char]!);

/** By name: the JavaScript SDK does not read numbers. */
const NAMED: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** An element with text, or nothing when there is no value. */
export const textElement = (name: string, value: string | number | boolean | undefined): string =>
  value === undefined ? "" : `<${name}>${escapeXml(String(value))}</${name}>`;

function unescapeXml(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));/gi, (whole, hex, decimal, name) => {
    if (name) return ENTITIES[name] ?? whole;
    const code = hex ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
