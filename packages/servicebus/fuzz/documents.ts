type Random = (below: number) => number;

const ENTRY = (content: string) =>
  `<?xml version="1.0" encoding="utf-8"?><entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">${content}</content></entry>`;
const QUEUE = (inside: string) =>
  ENTRY(
    `<QueueDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">${inside}</QueueDescription>`,
  );
const RULE = (value: string) =>
  ENTRY(
    '<RuleDescription xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><Filter i:type="CorrelationFilter"><Properties>' +
      `<KeyValueOfstringanyType><Key>k</Key>${value}</KeyValueOfstringanyType></Properties></Filter></RuleDescription>`,
  );
const LAUGHS =
  '<!DOCTYPE a [<!ENTITY a "ha">' +
  Array.from({ length: 9 }, (_, n) => `<!ENTITY ${"bcdefghij"[n]} "${`&${"abcdefghi"[n]};`.repeat(10)}">`).join("") +
  "]>";

/** Documents that the administration API must survive: bombs, nonsense, and good ones with bytes changed. */
const DOCUMENTS: readonly ((random: Random) => string | Buffer)[] = [
  () => `<?xml version="1.0"?>${LAUGHS}<entry>&j;</entry>`,
  () => LAUGHS + QUEUE("<UserMetadata>&j;</UserMetadata>"),
  () => `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>${QUEUE("<UserMetadata>&e;</UserMetadata>")}`,
  (random) => "<a>".repeat(1 + random(80_000)),
  (random) => ENTRY("<a>".repeat(random(40_000)) + "</a>".repeat(random(40_000))),
  (random) => QUEUE(`<UserMetadata>${"x".repeat(random(300_000))}</UserMetadata>`),
  (random) => `<a ${Array.from({ length: random(5_000) }, (_, n) => `b${n}="${n}"`).join(" ")}/>`,
  () => QUEUE("<UserMetadata>&#x110000;&#99999999;&#xD800;&#0;&nonsense;&amp</UserMetadata>"),
  () => QUEUE("<MaxDeliveryCount>NaN</MaxDeliveryCount>"),
  () => QUEUE("<MaxSizeInMegabytes>-1e999</MaxSizeInMegabytes><LockDuration>P1Y</LockDuration>"),
  () => QUEUE("<__proto__>x</__proto__><constructor>y</constructor>"),
  () => RULE('<Value i:type="d:dateTime">no date</Value>'),
  () => RULE('<Value i:type="d:long">99999999999999999999</Value>'),
  () => RULE("<Value/>"),
  () => Buffer.from(QUEUE(""), "utf16le"),
  () => Buffer.concat([Buffer.from([0xff, 0xfe, 0x00]), Buffer.from(QUEUE(""))]),
  (random) => Buffer.from(Array.from({ length: random(2_000) }, () => random(256))),
  () => `<![CDATA[${"]]".repeat(50_000)}`,
  () => `<!--${"-".repeat(100_000)}`,
  (random) => {
    const good = Buffer.from(QUEUE("<LockDuration>PT10S</LockDuration><MaxDeliveryCount>3</MaxDeliveryCount>"));
    for (let left = 1 + random(5); left > 0; left--) good[random(good.length)] = random(256);
    return good;
  },
];

export const malformedDocument = (random: Random): string | Buffer => DOCUMENTS[random(DOCUMENTS.length)]!(random);
