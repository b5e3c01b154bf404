import type { IncomingMessage, ServerResponse } from "node:http";
import type { Namespace } from "../domain/namespace.ts";
import type { RuleDefinition } from "../domain/rule.ts";
import { type Entity, type EntityCatalog, type EntityKind, topicOf } from "../entity-catalog.ts";
import type { Authority } from "./authority.ts";
import { countsOf } from "./entity-counts.ts";
import { contentElement, describe, readDescription, whenCreated } from "./entity-documents.ts";
import { managementMissing } from "./missing-claims.ts";
import { describeRule, readRule } from "./rule-documents.ts";
import { escapeXml, parseXml, textElement, type XmlElement } from "./xml.ts";

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface Item {
  readonly path: string;
  readonly updatedAt: number;
  readonly content: string;
}

const MAX_BODY = 256 * 1024;
const PAGE = 100;
const RULE = /^(.+\/subscriptions\/[^/]+)\/rules(?:\/([^/]+))?$/i;
const SUBSCRIPTION = /^(.+)\/subscriptions(?:\/([^/]+))?$/i;
const RESOURCES: Readonly<Record<string, EntityKind>> = { "$resources/queues": "queue", "$resources/topics": "topic" };
const ATOM = "http://www.w3.org/2005/Atom";

/** The ATOM API over HTTP that the SDKs' administration clients use: entities and rules, created and changed at run time. */
export class Administration {
  readonly #catalog: EntityCatalog;
  readonly #namespace: Namespace;
  readonly #authority: Authority;
  readonly #now: () => number;
  readonly #afterCommit: (answer: () => void) => void;
  readonly #startedAt: number;

  constructor(options: {
    catalog: EntityCatalog;
    namespace: Namespace;
    authority: Authority;
    now: () => number;
    /** Runs once everything done so far is durable. */
    afterCommit: (answer: () => void) => void;
  }) {
    this.#catalog = options.catalog;
    this.#namespace = options.namespace;
    this.#authority = options.authority;
    this.#now = options.now;
    this.#afterCommit = options.afterCommit;
    this.#startedAt = options.now();
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_BODY) chunks.push(chunk);
    });
    request.on("end", async () => {
      const answer =
        bytes > MAX_BODY
          ? failure(413, "The body is too long.")
          : await this.#answer(request, chunks).catch((error: unknown) => failure(500, String(error)));
      this.#afterCommit(() => {
        response.writeHead(answer.status, { "content-type": "application/atom+xml;type=entry;charset=utf-8" });
        response.end(answer.body);
      });
    });
  };

  async #answer(request: IncomingMessage, chunks: readonly Buffer[]): Promise<Answer> {
    const url = URL.parse(request.url ?? "", `https://${request.headers.host ?? "localhost"}`);
    const path = url && decode(url.pathname);
    if (!path) return failure(400, "The path cannot be read.");
    const admission = await this.#authority.checkHeader(request.headers.authorization ?? "", url.href);
    if (!admission.ok) return failure(admission.unavailable ? 503 : 401, `Unauthorized: ${admission.why}.`);
    if (!admission.grant.allows(path, "manage")) return this.#refuse(request.method ?? "", path);
    const at = new URL(url);
    switch (request.method) {
      case "GET":
        return this.#get(path, at);
      case "DELETE":
        return this.#delete(path);
      case "PUT": {
        const entry = parseXml(Buffer.concat(chunks).toString());
        const description = entry?.children.find(({ name }) => name === "content")?.children[0];
        if (!description) return failure(400, "The body is no ATOM entry with a description.");
        return this.#put(path, { description, update: request.headers["if-match"] === "*", at });
      }
      default:
        return failure(405, `${request.method} is not known here.`);
    }
  }

  /** Whether a queue or topic exists, whoever has some key learns. */
  #refuse(method: string, path: string): Answer {
    const queueOrTopic = !path.startsWith("$") && !SUBSCRIPTION.test(path) && !RULE.test(path);
    if (method === "GET" && queueOrTopic && !this.#catalog.get(path))
      return failure(404, `There is no entity ${path}.`);
    return failure(401, managementMissing(method, path));
  }

  #get(path: string, at: URL): Answer {
    const kind = RESOURCES[path.toLowerCase()];
    if (kind)
      return this.#feed(
        this.#catalog.list(kind).map((entity) => this.#item(entity)),
        at,
      );
    if (path.toLowerCase() === "$namespaceinfo") return this.#namespaceInfo(at);
    const [, subscription, rule] = RULE.exec(path) ?? [];
    if (subscription) return this.#getRules(subscription, rule, at);
    const [, topic, name] = SUBSCRIPTION.exec(path) ?? [];
    if (topic && name === undefined) {
      if (this.#catalog.get(topic)?.kind !== "topic") return failure(404, `There is no topic ${topic}.`);
      return this.#feed(
        this.#catalog.list("subscription", topic).map((entity) => this.#item(entity)),
        at,
      );
    }
    const entity = this.#catalog.get(path);
    return entity ? entry(200, this.#item(entity), at) : failure(404, `There is no entity ${path}.`);
  }

  #getRules(subscription: string, name: string | undefined, at: URL): Answer {
    const rules = this.#namespace.rules(subscription)?.list();
    if (!rules) return failure(404, `There is no subscription ${subscription}.`);
    if (name === undefined)
      return this.#feed(
        rules.map((rule) => ruleItem(subscription, rule)),
        at,
      );
    const rule = rules.find((one) => one.name.toLowerCase() === name.toLowerCase());
    return rule ? entry(200, ruleItem(subscription, rule), at) : failure(404, `There is no rule ${name}.`);
  }

  #put(path: string, { description, update, at }: { description: XmlElement; update: boolean; at: URL }): Answer {
    const [, subscription, rule] = RULE.exec(path) ?? [];
    if (subscription && rule) return this.#putRule({ subscription, name: rule, description, update, at });
    const described = readDescription(description);
    if (!described.ok) return failure(400, described.why);
    const { kind, properties } = described;
    if ((kind === "subscription") !== SUBSCRIPTION.test(path)) return failure(400, `${path} is no path of a ${kind}.`);
    const change = update
      ? this.#catalog.update(path, kind, properties)
      : this.#catalog.create(this.#canonical(path), kind, whenCreated(properties));
    if (!change.ok) return failure(change.status, change.why);
    const first = update ? undefined : this.#setDefaultRule(path, described.defaultRule);
    return first ?? entry(update ? 200 : 201, this.#item(this.#catalog.get(path)!), at);
  }

  /** A new subscription has one rule, which the request may have given. */
  #setDefaultRule(path: string, document: XmlElement | undefined): Answer | undefined {
    if (!document) return undefined;
    const name = document.children.find((one) => one.name === "Name")?.text || "$Default";
    const definition = readRule(document, name, this.#now());
    const rules = this.#namespace.rules(path)!;
    rules.remove("$Default");
    const change = definition ? rules.add(definition) : undefined;
    if (change?.ok) return undefined;
    this.#catalog.remove(path);
    return failure(400, change ? change.description : "The default rule's filter is not known.");
  }

  #putRule(options: { subscription: string; name: string; description: XmlElement; update: boolean; at: URL }): Answer {
    const { subscription, name, description, update, at } = options;
    const rules = this.#namespace.rules(subscription);
    if (!rules) return failure(404, `There is no subscription ${subscription}.`);
    const definition = readRule(description, name, this.#now());
    if (!definition) return failure(400, "The rule's filter is not known.");
    const existing = rules.list().find((rule) => rule.name.toLowerCase() === name.toLowerCase());
    if (update && !existing) return failure(404, `There is no rule ${name}.`);
    if (update) rules.remove(name);
    const change = rules.add(definition);
    if (change.ok) return entry(update ? 200 : 201, ruleItem(subscription, definition), at);
    if (update && existing) rules.add(existing);
    return failure(change.why === "exists" ? 409 : 400, change.description);
  }

  #delete(path: string): Answer {
    const [, subscription, rule] = RULE.exec(path) ?? [];
    if (subscription && rule) {
      const removed = this.#namespace.rules(subscription)?.remove(rule);
      return removed ? { status: 200, body: "" } : failure(404, `There is no rule ${rule}.`);
    }
    const change = this.#catalog.remove(path);
    return change.ok ? { status: 200, body: "" } : failure(change.status, change.why);
  }

  /** A subscription's path as its topic writes its own name. */
  #canonical(path: string): string {
    const [, asked = "", name] = SUBSCRIPTION.exec(path) ?? [];
    const topic = this.#catalog.get(asked);
    return topic && name ? `${topic.path}/Subscriptions/${name}` : path;
  }

  #item(entity: Entity): Item {
    return {
      path: entity.path,
      updatedAt: entity.updatedAt,
      content: describe(entity, countsOf(this.#namespace, entity)),
    };
  }

  #namespaceInfo(at: URL): Answer {
    const time = new Date(this.#startedAt).toISOString();
    const content = contentElement(
      "NamespaceInfo",
      [
        textElement("Alias", ""),
        textElement("CreatedTime", time),
        textElement("MessagingSKU", "Standard"),
        textElement("ModifiedTime", time),
        textElement("Name", at.hostname),
        textElement("NamespaceType", "Messaging"),
      ].join(""),
    );
    return entry(200, { path: "$namespaceinfo", updatedAt: this.#startedAt, content }, at);
  }

  #feed(items: readonly Item[], at: URL): Answer {
    const skip = Number(at.searchParams.get("$skip") ?? 0) || 0;
    const top = Number(at.searchParams.get("$top") ?? PAGE) || PAGE;
    const links = [`<link rel="self" href="${escapeXml(at.href)}"/>`];
    if (skip + top < items.length) {
      const next = new URL(at);
      next.searchParams.set("$skip", String(skip + top));
      next.searchParams.set("$top", String(top));
      links.push(`<link rel="next" href="${escapeXml(next.href)}"/>`);
    }
    const entries = items.slice(skip, skip + top).map((item) => entryElement(item, at));
    const head = `${textElement("id", at.href)}${textElement("updated", new Date(this.#now()).toISOString())}`;
    return { status: 200, body: `<feed xmlns="${ATOM}">${head}${links.join("")}${entries.join("")}</feed>` };
  }
}

const ruleItem = (subscription: string, rule: RuleDefinition): Item => ({
  path: `${topicOf(subscription)}/Subscriptions/${subscription.slice(topicOf(subscription).length + 15)}/Rules/${rule.name}`,
  updatedAt: rule.createdAt,
  content: contentElement("RuleDescription", describeRule(rule)),
});

const entry = (status: number, item: Item, at: URL): Answer => ({ status, body: entryElement(item, at) });

function entryElement({ path, updatedAt, content }: Item, at: URL): string {
  const id = `${at.origin}/${path}?api-version=${at.searchParams.get("api-version") ?? ""}`;
  return [
    `<entry xmlns="${ATOM}">`,
    textElement("id", id),
    textElement("title", path.slice(path.lastIndexOf("/") + 1)),
    textElement("updated", new Date(updatedAt).toISOString()),
    `<link rel="self" href="${escapeXml(id)}"/><content type="application/xml">${content}</content></entry>`,
  ].join("");
}

const failure = (status: number, detail: string): Answer => ({
  status,
  body: `<Error>${textElement("Code", status)}${textElement("Detail", detail)}</Error>`,
});

function decode(pathname: string): string | undefined {
  try {
    return decodeURIComponent(pathname).replace(/^\/+|\/+$/g, "");
  } catch {
    return undefined;
  }
}
