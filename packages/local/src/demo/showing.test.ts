import { PassThrough } from "node:stream";
import type { WriteStream } from "node:tty";
import { expect, test } from "vitest";
import { Screen } from "../screen.ts";
import { Showing } from "./showing.ts";

test("trouble is told once, and again when it comes back after a message", () => {
  const out = new PassThrough();
  const show = new Showing(new Screen(out as unknown as WriteStream, { NO_COLOR: "1" }));
  const away = "receiving from the topic: away";
  for (const _ of [1, 2, 3]) show.trouble(away);
  show.message("0192e5a0-aaaa.1:predictions");
  show.trouble(away);
  const told = String(out.read())
    .split("\n")
    .filter((line) => line.includes(away));
  expect(told).toHaveLength(2);
});
