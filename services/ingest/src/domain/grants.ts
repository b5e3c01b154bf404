import { type Problem, problem, type Result, type TokenEntry, type Verb } from "@millrace/contracts";

/** Who asks: the entry of the token that came with the request. */
export type Caller = Pick<TokenEntry, "principal" | "grants">;

export type Project = { tenant: string; project: string };

/** What is wrong when a caller may not do this in that project, or undefined when it may. */
export function refusal(caller: Caller, verb: Verb, { tenant, project }: Project): Problem | undefined {
  const grant = caller.grants.find((given) => given.tenant === tenant && given.project === project);
  if (grant?.verbs.includes(verb)) return undefined;
  // The same words whether the project exists or not: a token learns nothing about others.
  return { code: "forbidden", detail: `this token does not grant "${verb}" on ${tenant}/${project}` };
}

/**
 * The one project in which a caller may do this, when the path names none. `asked` narrows it.
 * With several left the project is ambiguous, and none is guessed.
 */
export function onlyProject(caller: Caller, verb: Verb, asked: Partial<Project> = {}): Result<Project> {
  const fit = caller.grants.filter(
    (grant) =>
      grant.verbs.includes(verb) &&
      (asked.tenant === undefined || asked.tenant === grant.tenant) &&
      (asked.project === undefined || asked.project === grant.project),
  );
  const [grant, another] = fit;
  if (!grant) return problem("forbidden", `this token grants "${verb}" on no such project`);
  if (another) return problem("ambiguous-grant", `this token grants "${verb}" on ${fit.length} projects`);
  return { ok: true, value: { tenant: grant.tenant, project: grant.project } };
}

/** The bearer token of an `Authorization` header (RFC 6750 §2.1), or undefined. */
export function bearerToken(header: string | undefined): string | undefined {
  const match = header === undefined ? null : /^Bearer +([A-Za-z0-9._~+/=-]{1,4096})$/i.exec(header);
  return match?.[1];
}
