import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { openLink } from "./link.ts";

/** A server that answers everything in capitals, and a link to it. */
async function linked() {
  const server = createServer((socket) => socket.on("data", (bytes) => socket.write(bytes.toString().toUpperCase())));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const link = await openLink((server.address() as AddressInfo).port);
  onTestFinished(async () => {
    await link[Symbol.asyncDispose]();
    server.close();
  });
  return { server, link };
}

function listen(port: number) {
  const socket = connect({ port, host: "127.0.0.1" });
  const heard: string[] = [];
  socket.on("data", (bytes) => heard.push(bytes.toString()));
  socket.on("error", () => {});
  onTestFinished(() => void socket.destroy());
  return { socket, heard: () => heard.join("") };
}

async function until(condition: () => boolean): Promise<void> {
  for (let wait = 0; !condition(); wait += 5) {
    if (wait > 5_000) throw new Error(`not within 5 s: ${condition}`);
    await sleep(5);
  }
}

test("a link carries both ways; cut, it is silent; mended, what waited arrives", async () => {
  const { link } = await linked();
  const { socket, heard } = listen(link.port);
  socket.write("a");
  await until(() => heard() === "A");

  link.cut();
  socket.write("b");
  const late = listen(link.port); // the kernel takes the connection, and that is all that happens
  late.socket.write("c");
  await sleep(100);
  expect([heard(), late.heard()]).toEqual(["A", ""]);
  expect(socket.destroyed).toBe(false);

  link.mend();
  await until(() => heard() === "AB" && late.heard() === "C");
});

test("an end that came while the link was cut is heard of when it is mended", async () => {
  const { server, link } = await linked();
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const { socket } = listen(link.port);
  const [far] = await accepted;
  link.cut();
  far.destroy();
  await sleep(100);
  expect(socket.destroyed).toBe(false);
  link.mend();
  await until(() => socket.destroyed);
});

test("where nobody listens, a connection ends", async () => {
  const { server, link } = await linked();
  server.close();
  const { socket } = listen(link.port);
  await until(() => socket.destroyed);
});
