import { expect, test } from "vitest";
import { child, childText, escapeXml, parseXml } from "./xml.ts";

test("elements, attributes and text are read, whatever their prefixes", () => {
  const document = parseXml(`<?xml version="1.0" encoding="utf-8"?>
    <a:entry xmlns:a="urn:a"><content type='application/xml'><Filter p4:type="SqlFilter"/><Name>x &lt; &#38; &#x79;</Name>
    </content></a:entry>`);
  expect(document?.name).toBe("entry");
  const content = child(document, "content");
  expect(content?.attributes).toEqual({ type: "application/xml" });
  expect(child(content, "Filter")?.attributes).toEqual({ type: "SqlFilter" });
  expect(childText(content, "Name")).toBe("x < & y");
  expect(childText(content, "Filter")).toBe(undefined);
});

test.each([
  ["", "nothing"],
  ["text", "no element"],
  ["<a>", "an element that is not closed"],
  ["<a></b>", "another one's end"],
  ["</a>", "an end without a beginning"],
  ["<a/><b/>", "two roots"],
  ["<a b=c/>", "an attribute without quotation marks"],
  ["<a", "half a tag"],
  ['<!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>', "a document type"],
  ["<!doctype a SYSTEM 'http://127.0.0.1/'><a/>", "a document type of another place"],
  ["<a><constructor/></a>", "the name of something else"],
  [`<a>${" ".repeat(300_000)}</a>`, "too long"],
  [`${"<a>".repeat(50)}${"</a>".repeat(50)}`, "too many levels"],
])("%s is refused: %s", (source) => {
  expect(parseXml(source)).toBe(undefined);
});

test("text comes back as it was, without what XML cannot hold", () => {
  const text = `<&>"' ü 😀 \u0000\uD800`;
  expect(parseXml(`<a b="${escapeXml(text)}">${escapeXml(text)}</a>`)).toMatchObject({
    attributes: { b: `<&>"' ü 😀 \uFFFD\uFFFD` },
    text: `<&>"' ü 😀 \uFFFD\uFFFD`,
  });
});

test("text may stand in several pieces, and unescaped; unknown entities stay as they are", () => {
  expect(parseXml("\uFEFF<a>1 <b/>2<![CDATA[<&amp;>]]><!-- no -->&eacute;</a>\n")?.text).toBe("1 2<&amp;>&eacute;");
});

test("a long text that is no document is given up quickly", () => {
  const began = performance.now();
  expect(parseXml(`<a ${'b="c" '.repeat(20_000)}`)).toBe(undefined);
  expect(performance.now() - began).toBeLessThan(2_000);
});
