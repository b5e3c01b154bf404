import type { RuleDefinition, RuleFilter, SqlText } from "../domain/rule.ts";
import type { SqlValue } from "../domain/sql-expression.ts";
import { child, childText, escapeXml, textElement, type XmlElement } from "./xml.ts";

/** Reads a rule's filter and action; undefined when there is no filter this broker knows. */
export function readRule(document: XmlElement, name: string, createdAt: number): RuleDefinition | undefined {
  const filter = readFilter(child(document, "Filter"));
  const action = readSql(child(document, "Action"));
  return filter && { name, filter, ...(action && { action }), createdAt };
}

/** A rule as the SDKs read it: the content of a RuleDescription. */
export function describeRule({ name, filter, action, createdAt }: RuleDefinition): string {
  return [
    describeFilter(filter),
    action ? `<Action i:type="SqlRuleAction">${describeSql(action)}</Action>` : '<Action i:type="EmptyRuleAction"/>',
    textElement("CreatedAt", new Date(createdAt).toISOString()),
    textElement("Name", name),
  ].join("");
}

function readFilter(filter: XmlElement | undefined): RuleFilter | undefined {
  switch (filter?.attributes.type) {
    case "TrueFilter":
      return { kind: "true" };
    case "FalseFilter":
      return { kind: "false" };
    case "SqlFilter": {
      const sql = readSql(filter);
      return sql && { kind: "sql", ...sql };
    }
    case "CorrelationFilter":
      return {
        kind: "correlation",
        fields: Object.fromEntries(FIELDS.map(({ field, element }) => [field, childText(filter, element)])),
        applicationProperties: new Map(readValues(child(filter, "Properties"))),
      };
    default:
      return undefined;
  }
}

const FIELDS = [
  { field: "correlationId", element: "CorrelationId" },
  { field: "messageId", element: "MessageId" },
  { field: "to", element: "To" },
  { field: "replyTo", element: "ReplyTo" },
  { field: "subject", element: "Label" },
  { field: "sessionId", element: "SessionId" },
  { field: "replyToSessionId", element: "ReplyToSessionId" },
  { field: "contentType", element: "ContentType" },
] as const;

function readSql(element: XmlElement | undefined): SqlText | undefined {
  const expression = childText(element, "SqlExpression");
  if (expression === undefined) return undefined;
  const parameters = readValues(child(element, "Parameters"));
  return { expression, ...(parameters.length > 0 && { parameters: Object.fromEntries(parameters) }) };
}

function readValues(element: XmlElement | undefined): [string, SqlValue][] {
  const pairs = element?.children.filter(({ name }) => name === "KeyValueOfstringanyType") ?? [];
  return pairs.map((pair) => [childText(pair, "Key") ?? "", readValue(child(pair, "Value"))]);
}

/** XML Schema's types, whatever prefix they are given. */
function readValue(value: XmlElement | undefined): SqlValue {
  const text = value?.text ?? "";
  const type = value?.attributes.type?.replace(/^.*:/, "");
  switch (type) {
    case "int":
    case "long":
    case "short":
      return /^[+-]?\d{1,19}$/.test(text) ? BigInt(text) : text;
    case "double":
    case "float":
    case "decimal":
      return Number(text);
    case "boolean":
      return text === "true" || text === "1";
    case "dateTime":
      return Number.isNaN(Date.parse(text)) ? text : new Date(text);
    default:
      return text;
  }
}

function describeFilter(filter: RuleFilter): string {
  switch (filter.kind) {
    case "true":
      return '<Filter i:type="TrueFilter"><SqlExpression>1=1</SqlExpression><CompatibilityLevel>20</CompatibilityLevel></Filter>';
    case "false":
      return '<Filter i:type="FalseFilter"><SqlExpression>1=0</SqlExpression><CompatibilityLevel>20</CompatibilityLevel></Filter>';
    case "sql":
      return `<Filter i:type="SqlFilter">${describeSql(filter)}</Filter>`;
    case "correlation": {
      const fields = FIELDS.map(({ field, element }) => textElement(element, filter.fields[field]));
      const values = describeValues("Properties", [...filter.applicationProperties]);
      return `<Filter i:type="CorrelationFilter">${fields.join("")}${values}</Filter>`;
    }
  }
}

function describeSql({ expression, parameters = {} }: SqlText): string {
  const values = Object.entries(parameters).filter((entry): entry is [string, SqlValue] => entry[1] !== undefined);
  const level = "<CompatibilityLevel>20</CompatibilityLevel>";
  return `${textElement("SqlExpression", expression)}${level}${describeValues("Parameters", values)}`;
}

function describeValues(name: string, values: readonly (readonly [string, SqlValue])[]): string {
  if (values.length === 0) return "";
  const pairs = values.map(([key, value]) => {
    const { type, text } = describeValue(value);
    const typed = `<Value i:type="d6p1:${type}" xmlns:d6p1="http://www.w3.org/2001/XMLSchema">${escapeXml(text)}</Value>`;
    return `<KeyValueOfstringanyType>${textElement("Key", key)}${typed}</KeyValueOfstringanyType>`;
  });
  return `<${name}>${pairs.join("")}</${name}>`;
}

function describeValue(value: SqlValue): { type: string; text: string } {
  if (typeof value === "bigint") return { type: "int", text: String(value) };
  if (typeof value === "number") return { type: "double", text: String(value) };
  if (typeof value === "boolean") return { type: "boolean", text: String(value) };
  if (value instanceof Date) return { type: "dateTime", text: value.toISOString() };
  return { type: "string", text: typeof value === "string" ? value : Buffer.from(value).toString("base64") };
}
