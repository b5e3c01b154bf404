import { type SendFailure, toFailure } from "./failure.ts";

/** What is known of a link: why nothing can be received, or (undefined) that it can be. Told when it changes. */
export type LinkState = Disposable & { say(trouble: SendFailure | undefined): void };

const LOOK_MS = 2_000;

/**
 * Keeps a link's state. Nothing says that a link is well while no message comes; so until it is known to be, and while it
 * is not, the entity is looked at every few seconds.
 */
export function linkState(
  look: () => Promise<unknown>,
  onState: (trouble: SendFailure | undefined) => void,
): LinkState {
  let known: { trouble: SendFailure | undefined } | undefined;
  let looking = false;
  let over = false;
  const say = (trouble: SendFailure | undefined) => {
    if (over || (known && known.trouble?.kind === trouble?.kind && known.trouble?.why === trouble?.why)) return;
    known = { trouble };
    onState(trouble);
  };
  const again = async () => {
    if (looking || (known && known.trouble === undefined)) return;
    looking = true;
    await look().then(
      () => say(undefined),
      (cause: unknown) => say(toFailure(cause)),
    );
    looking = false;
  };
  const timer = setInterval(again, LOOK_MS);
  timer.unref();
  void again();
  return {
    say,
    [Symbol.dispose]() {
      over = true;
      clearInterval(timer);
    },
  };
}
