/** The baseline of the `accept` benchmark: a Fastify route that reads a JSON body and answers, and does nothing else. */
import Fastify from "fastify";
import { serve } from "../room/worker.ts";

const app = Fastify({ logger: false });
const answer = JSON.parse(process.env.BENCH_ANSWER ?? "{}") as object;
app.post("/", async (_request, reply) => reply.code(202).send(answer));
const url = await app.listen({ host: "127.0.0.1", port: 0 });

const jobs = { url: async (_: null): Promise<string> => url };
export type NoOpJobs = typeof jobs;

serve(jobs, () => app.close());
