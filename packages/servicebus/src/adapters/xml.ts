/** An element of the documents that the administration API exchanges. Names come without their prefix. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  readonly text: string;
}

interface OpenElement {
  readonly name: string;
  readonly attributes: Record<string, string>;
  readonly children: XmlElement[];
  text: string;
}

const MAX_DEPTH = 32;
const TAG = /<(?:(\/)([\w:.-]+)\s*|([\w:.-]+)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?))>/y;
const ATTRIBUTE = /([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/**
 * Reads elements, attributes and text: what the SDKs send. No document types, so nothing in it can grow when it is read.
 * @returns undefined when it is not well-formed
 */
export function parseXml(source: string): XmlElement | undefined {
  const document: OpenElement = { name: "", attributes: {}, children: [], text: "" };
  const open = [document];
  let at = source.replace(/^\uFEFF?\s*(<\?xml[^>]*\?>)?/, (start) => " ".repeat(start.length)).search(/\S/);
  while (at >= 0 && at < source.length) {
    const tagAt = source.indexOf("<", at);
    const end = tagAt < 0 ? source.length : tagAt;
    open.at(-1)!.text += unescapeXml(source.slice(at, end));
    if (tagAt < 0) break;
    TAG.lastIndex = tagAt;
    const tag = TAG.exec(source);
    if (!tag) return undefined;
    at = TAG.lastIndex;
    const [, closing, closed, opened, attributes = "", empty] = tag;
    if (closing) {
      const element = open.pop()!;
      if (open.length === 0 || element.name !== localName(closed!)) return undefined;
      open.at(-1)!.children.push(element);
      continue;
    }
    const element: OpenElement = { name: localName(opened!), attributes: {}, children: [], text: "" };
    for (const [, name = "", double, single] of attributes.matchAll(ATTRIBUTE)) {
      element.attributes[localName(name)] = unescapeXml(double ?? single ?? "");
    }
    if (empty) open.at(-1)!.children.push(element);
    else if (open.push(element) > MAX_DEPTH) return undefined;
  }
  const [root, ...more] = document.children;
  return open.length === 1 && more.length === 0 && document.text.trim() === "" ? root : undefined;
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

const localName = (name: string) => name.slice(name.indexOf(":") + 1);

function unescapeXml(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));/gi, (whole, hex, decimal, name) => {
    if (name) return ENTITIES[name] ?? whole;
    const code = hex ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
