import type { Handler } from "./call.ts";
import { refuse } from "./problems.ts";
import type { SubmitDeps } from "./submit.ts";

export const onBulk =
  (_deps: SubmitDeps): Handler =>
  async (request, reply) =>
    refuse(request, reply, { code: "internal", detail: "not yet" });
