/** Whether a text fits a LIKE pattern: `%` stands for any characters, `_` for one, what follows `mark` for itself. */
export function fitsPattern(text: string, pattern: string, mark?: string): boolean {
  const wanted = readPattern(pattern, mark);
  // Only the last `%` is ever tried again: that is enough, and keeps the time within length × length.
  let at = 0;
  let want = 0;
  let afterAny = -1;
  let resumeAt = 0;
  while (at < text.length) {
    const next = wanted[want];
    if (next === ANY) {
      afterAny = ++want;
      resumeAt = at;
    } else if (next === ONE || next === text[at]) {
      at++;
      want++;
    } else if (afterAny >= 0) {
      want = afterAny;
      at = ++resumeAt;
    } else return false;
  }
  while (wanted[want] === ANY) want++;
  return want === wanted.length;
}

const ANY = Symbol("%");
const ONE = Symbol("_");

function readPattern(pattern: string, mark: string | undefined): (string | symbol)[] {
  const wanted: (string | symbol)[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at]!;
    if (char === mark && at + 1 < pattern.length) wanted.push(pattern[++at]!);
    else if (char === "%") wanted.push(ANY);
    else if (char === "_") wanted.push(ONE);
    else wanted.push(char);
  }
  return wanted;
}
