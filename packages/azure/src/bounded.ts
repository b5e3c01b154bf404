const CLOSE_TIMEOUT_MS = 3_000;

/** Waits for a close, but not for long: closing asks the other side, which may be gone. */
export async function bounded(closing: Promise<void> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
  });
  await Promise.race([closing?.catch(() => {}), timeout]);
  clearTimeout(timer);
}
