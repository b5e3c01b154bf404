import { describe, expect, it } from "vitest";
import { Room } from "./room.ts";

const stream = "OUTCOMES";
const fill = (bytes: number) => [{ stream, bytes, max_bytes: 1_000 }];

describe("room in the streams", () => {
  it("is there below 80 %, and again below 79 %", () => {
    const room = new Room();
    const at = (now: number, bytes: number) => {
      room.look(now, fill(bytes));
      return room.refusal?.code;
    };
    expect([at(0, 799), at(1, 800), at(2, 795), at(3, 789), at(4, 795)]).toEqual([
      undefined,
      "storage-full",
      "storage-full",
      undefined,
      undefined,
    ]);
  });

  it("a refusal says when it will be there, by how fast the stream empties", () => {
    const room = new Room();
    for (let second = 0; second <= 10; second++) room.look(second, fill(1_000 - 10 * second));
    // 900 of 1000 bytes, 110 above the mark, 10 bytes a second.
    expect(room.refusal).toEqual({
      code: "storage-full",
      detail: "OUTCOMES holds 90 % of what it may",
      retry_after_s: 11,
    });
  });

  it("and a sensible time while it does not empty", () => {
    const room = new Room();
    room.look(0, fill(900));
    expect(room.refusal?.retry_after_s).toBe(30);
    room.look(1, fill(950));
    expect(room.refusal?.retry_after_s).toBe(30);
  });

  it("a stream without a bound is never full, and any of them that is full counts", () => {
    const room = new Room();
    room.look(0, [{ stream: "EVENTS", bytes: 1e12, max_bytes: -1 }, ...fill(10)]);
    expect(room.refusal).toBeUndefined();
    room.look(1, [{ stream: "EVENTS", bytes: 1, max_bytes: 10 }, ...fill(900)]);
    expect(room.refusal?.detail).toContain("OUTCOMES");
  });
});
