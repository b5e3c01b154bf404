import type { CheckReport } from "@millrace/contracts";
import type { Books } from "../domain/ports.ts";
import type { Handler } from "./call.ts";
import { refuse } from "./problems.ts";

/** `GET /v1/check`: the books of all tenants, for whoever may operate any project. */
export const onCheck =
  ({ books }: { books: Books }): Handler =>
  async (request, reply): Promise<CheckReport | typeof reply> => {
    try {
      return await books.check();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      return refuse(request, reply, { code: "unavailable", detail: `the keeper does not answer (${why})` });
    }
  };
