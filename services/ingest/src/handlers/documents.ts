import { readFileSync } from "node:fs";
import { openapiDocument } from "@millrace/contracts";
import type { Handler } from "./call.ts";

/** `GET /openapi.json`: generated from the table that the routes are registered from. */
export const onOpenapi: Handler = async () => openapiDocument();

/**
 * `GET /docs`: one page with everything in it. It loads nothing else, because a browser could not send the token
 * header along; for the same reason it can be saved and opened from a file.
 */
export const onDocs: Handler = async (_request, reply) => {
  page ??= renderPage();
  return reply.type("text/html; charset=utf-8").header("Content-Security-Policy", POLICY).send(page);
};

const POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'";

let page: string | undefined;

function renderPage(): string {
  const style = readFileSync(new URL(import.meta.resolve("swagger-ui-dist/swagger-ui.css")), "utf8");
  const bundle = readFileSync(new URL(import.meta.resolve("swagger-ui-dist/swagger-ui-bundle.js")), "utf8");
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Millrace HTTP API</title>',
    `<style>${style}</style></head><body><div id="api"></div>`,
    `<script>${inline(bundle)}</script>`,
    `<script>SwaggerUIBundle({ dom_id: "#api", deepLinking: true, spec: ${inline(JSON.stringify(openapiDocument()))} })</script>`,
    "</body></html>",
  ].join("\n");
}

/** Text that cannot end the script element it stands in. */
const inline = (script: string) => script.replaceAll("</script", "<\\/script");
