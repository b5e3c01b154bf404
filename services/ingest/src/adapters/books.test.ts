import { answer, connectBus } from "@millrace/bus";
import { CHECK_SUBJECT } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { natsServer } from "@millrace/testkit";
import { expect, test } from "vitest";
import { openBooks } from "./books.ts";

const log = createLogger("test", "silent");

async function world() {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await natsServer());
  const connect = async (user: string) =>
    stack.use(await connectBus({ url: nats.url, user, password: nats.passwordOf(user), log }));
  const [ingest, keeper] = [await connect("ingest"), await connect("keeper")];
  const owned = stack.move();
  return { ingest, keeper, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

test("a question that nobody answers any more is asked again, and the books come", async () => {
  await using nats = await world();
  let questions = 0;
  using _ = answer(nats.keeper, CHECK_SUBJECT, () => {
    questions += 1;
    return questions === 1 ? new Promise(() => {}) : { number: questions };
  });
  await nats.keeper.nc.flush();
  expect(await openBooks(nats.ingest, { again_ms: 50 }).check()).toEqual({ number: 2 });
});

test("a keeper that takes its time is waited for, and its first answer counts", async () => {
  await using nats = await world();
  const books = Promise.withResolvers<unknown>();
  let questions = 0;
  using _ = answer(nats.keeper, CHECK_SUBJECT, () => {
    questions += 1;
    if (questions === 3) books.resolve({ number: 3 });
    return books.promise;
  });
  await nats.keeper.nc.flush();
  expect(await openBooks(nats.ingest, { again_ms: 50 }).check()).toEqual({ number: 3 });
});

test("no keeper is said at once", async () => {
  await using nats = await world();
  await expect(openBooks(nats.ingest).check()).rejects.toMatchObject({ code: "503" });
});
