import { describe, expect, it } from "vitest";
import { bearerToken, type Caller, onlyProject, refusal } from "./grants.ts";

const caller: Caller = {
  principal: "alice",
  grants: [
    { tenant: "acme", project: "plant", verbs: ["submit", "read"] },
    { tenant: "acme", project: "lab", verbs: ["read", "audit"] },
  ],
};

describe("a grant", () => {
  it("is for one verb in one project of one tenant", () => {
    expect(refusal(caller, "submit", { tenant: "acme", project: "plant" })).toBeUndefined();
    for (const [verb, tenant, project] of [
      ["submit", "acme", "lab"],
      ["audit", "acme", "plant"],
      ["read", "acme", "other"],
      ["read", "rival", "plant"],
      ["read", "plant", "acme"],
    ] as const)
      expect(refusal(caller, verb, { tenant, project })).toMatchObject({ code: "forbidden" });
  });

  it("names the project when there is only one for the verb, and none is guessed among several", () => {
    expect(onlyProject(caller, "audit")).toEqual({ ok: true, value: { tenant: "acme", project: "lab" } });
    expect(onlyProject(caller, "read")).toMatchObject({ problem: { code: "ambiguous-grant" } });
    expect(onlyProject(caller, "read", { project: "plant" })).toMatchObject({ ok: true });
    expect(onlyProject(caller, "operate")).toMatchObject({ problem: { code: "forbidden" } });
    expect(onlyProject(caller, "audit", { tenant: "rival" })).toMatchObject({ problem: { code: "forbidden" } });
  });
});

it.each<[string | undefined, string | undefined]>([
  ["Bearer abc", "abc"],
  ["bearer a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="],
  ["Bearer", undefined],
  ["Bearer a b", undefined],
  ["Basic abc", undefined],
  [undefined, undefined],
])("Authorization: %s holds the token %s", (header, token) => expect(bearerToken(header)).toBe(token));
