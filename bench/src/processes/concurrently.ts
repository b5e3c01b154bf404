/** Runs a task `times` times, at most `atOnce` of them at once. The first failure ends it. */
export async function concurrently(
  times: number,
  atOnce: number,
  task: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < times) await task(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, times) }, lane));
}
