type Random = (below: number) => number;

/** Protocol headers and frames, each as its bytes. @throws RangeError when a stream ends within one */
export function splitStream(stream: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const size = stream.toString("latin1", at, at + 4) === "AMQP" ? 8 : stream.readUInt32BE(at);
    if (size < 8 || at + size > stream.length) throw new RangeError("the stream ends within a frame");
    pieces.push(stream.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

/** A conversation with some things wrong. */
export function mutate(pieces: readonly Buffer[], others: readonly Buffer[], random: Random): Buffer[] {
  const mutated = [...pieces];
  for (let left = 1 + random(4); left > 0; left--) MUTATIONS[random(MUTATIONS.length)]!(mutated, random, others);
  return mutated;
}

type Mutation = (pieces: Buffer[], random: Random, others: readonly Buffer[]) => void;

/** Most of a conversation must be right for the rest to get anywhere: the first pieces are mostly left alone. */
const somewhere = (pieces: readonly Buffer[], random: Random) =>
  random(8) === 0 ? random(pieces.length) : Math.min(pieces.length - 1, 6 + random(Math.max(1, pieces.length - 6)));

const MUTATIONS: readonly Mutation[] = [
  function flipBits(pieces, random) {
    const at = somewhere(pieces, random);
    const piece = Buffer.from(pieces[at]!);
    for (let left = 1 + random(4); left > 0; left--) {
      const byte = Math.min(piece.length - 1, random(3) === 0 ? random(8) : 8 + random(Math.max(1, piece.length - 8)));
      piece[byte] = piece[byte]! ^ (1 << random(8));
    }
    pieces[at] = piece;
  },
  function overwriteByte(pieces, random) {
    const at = somewhere(pieces, random);
    const piece = Buffer.from(pieces[at]!);
    piece[random(piece.length)] = [0x00, 0x40, 0x45, 0x7f, 0x80, 0xc0, 0xd0, 0xe0, 0xf0, 0xff][random(10)]!;
    pieces[at] = piece;
  },
  function truncateStream(pieces, random) {
    const at = somewhere(pieces, random);
    pieces[at] = pieces[at]!.subarray(0, random(pieces[at]!.length));
    pieces.length = at + 1;
  },
  function truncatePiece(pieces, random) {
    const at = somewhere(pieces, random);
    pieces[at] = pieces[at]!.subarray(0, random(pieces[at]!.length));
  },
  function remove(pieces, random) {
    if (pieces.length > 1) pieces.splice(somewhere(pieces, random), 1);
  },
  function repeat(pieces, random) {
    const at = somewhere(pieces, random);
    pieces.splice(at, 0, ...Array<Buffer>(1 + random(random(10) === 0 ? 500 : 5)).fill(pieces[at]!));
  },
  function swap(pieces, random) {
    const [a, b] = [somewhere(pieces, random), somewhere(pieces, random)];
    [pieces[a], pieces[b]] = [pieces[b]!, pieces[a]!];
  },
  function splice(pieces, random, others) {
    pieces.splice(somewhere(pieces, random), 0, others[random(others.length)]!);
  },
  function wrongSize(pieces, random) {
    const at = somewhere(pieces, random);
    const piece = Buffer.from(pieces[at]!);
    if (piece.length < 4) return;
    const sizes = [0, 1, 7, 8, piece.length - 1, piece.length + 1, 65_536, 65_537, 2 ** 31, 2 ** 32 - 1];
    piece.writeUInt32BE(sizes[random(sizes.length)]!, 0);
    pieces[at] = piece;
  },
  function noise(pieces, random) {
    const bytes = Buffer.from(Array.from({ length: 1 + random(200) }, () => random(256)));
    pieces.splice(somewhere(pieces, random), 0, bytes);
  },
  function bomb(pieces, random) {
    const performative = 0x10 + random(9); // open to close
    const value = BOMBS[random(BOMBS.length)]!(random);
    const described = Buffer.concat([Buffer.from([0x00, 0x53, performative]), value]);
    pieces.splice(somewhere(pieces, random), 0, frame(random(3), described));
  },
  function bombInMessage(pieces, random) {
    const section = [0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77][random(8)]!;
    const message = Buffer.concat([Buffer.from([0x00, 0x53, section]), BOMBS[random(BOMBS.length)]!(random)]);
    pieces.splice(somewhere(pieces, random), 0, transfer(random, message, false));
  },
  function endless(pieces, random) {
    const part = transfer(random, Buffer.alloc(random(60_000)), true);
    pieces.splice(somewhere(pieces, random), 0, ...Array<Buffer>(20 + random(200)).fill(part));
  },
];

/** Values that claim more than they hold, or never end. */
const BOMBS: readonly ((random: Random) => Buffer)[] = [
  () => Buffer.from([0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x41]), // 2^32-1 times true
  () => Buffer.from([0xd0, 0, 0, 0, 4, 0x01, 0xff, 0xff, 0xff]), // a list of 33 million values
  () => Buffer.from([0xd1, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xfe]),
  () => Buffer.from([0xb1, 0xff, 0xff, 0xff, 0xff]), // a string of 4 GB
  (random) => Buffer.alloc(100 + random(30_000), 0x00), // described by what is described by …
  (random) => nested(10 + random(7_000)),
  (random) => Buffer.concat([list(random(60)), Buffer.from([0x40])]),
  (random) => map(random(2_000)),
];

/** Lists in lists: each 8 bytes of size and count, and one inside. */
function nested(depth: number): Buffer {
  const open = Buffer.alloc(9 * depth);
  for (let level = 0; level < depth; level++) {
    open[9 * level] = 0xd0;
    open.writeUInt32BE(4 + 9 * (depth - level - 1) + 1, 9 * level + 1);
    open.writeUInt32BE(1, 9 * level + 5);
  }
  return Buffer.concat([open, Buffer.from([0x40])]);
}

const list = (count: number) => Buffer.concat([Buffer.from([0xc0, count + 1, count]), Buffer.alloc(count, 0x40)]);

function map(pairs: number): Buffer {
  const head = Buffer.alloc(9);
  head[0] = 0xd1;
  head.writeUInt32BE(4 + pairs * 4, 1);
  head.writeUInt32BE(pairs * 2, 5);
  return Buffer.concat([head, ...Array<Buffer>(pairs).fill(Buffer.from([0xa3, 0x01, 0x6b, 0x41]))]);
}

function frame(channel: number, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length, 0);
  head[4] = 2;
  head.writeUInt16BE(channel, 6);
  return Buffer.concat([head, body]);
}

/** On one of the first handles of one of the first sessions. */
function transfer(random: Random, payload: Buffer, more: boolean): Buffer {
  const fields = [0x52, random(4), 0x52, random(8), 0xa0, 1, 0x78, 0x43, 0x42, more ? 0x41 : 0x42];
  const performative = Buffer.from([0x00, 0x53, 0x14, 0xc0, fields.length + 1, 6, ...fields]);
  return frame(random(3), Buffer.concat([performative, payload]));
}
