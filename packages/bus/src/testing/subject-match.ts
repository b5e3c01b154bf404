/** Whether a NATS subject matches a filter with `*` (one token) and `>` (all that follow). */
export function matches(filter: string, subject: string): boolean {
  if (filter === subject) return true;
  const wanted = tokensOf(filter);
  const given = tokensOf(subject);
  for (const [index, token] of wanted.entries()) {
    if (token === ">") return given.length > index;
    if (token !== "*" && token !== given[index]) return false;
  }
  return wanted.length === given.length;
}

/** A run asks for the same few subjects over and over. */
const known = new Map<string, readonly string[]>();
const KNOWN_MAX = 10_000;

function tokensOf(subject: string): readonly string[] {
  let tokens = known.get(subject);
  if (!tokens) {
    if (known.size > KNOWN_MAX) known.clear();
    tokens = subject.split(".");
    known.set(subject, tokens);
  }
  return tokens;
}
