import { createInterface } from "node:readline/promises";
import { run } from "./run.ts";

// A reader that has seen enough (`| head`) is no failure.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit();
    throw error;
  });

process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  out: (content) => process.stdout.write(content),
  error: (text) => process.stderr.write(text),
  stdin: async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  },
  ask: async (question) => {
    if (!process.stdin.isTTY || !process.stdout.isTTY) return undefined;
    const lines = createInterface({ input: process.stdin, output: process.stdout });
    lines.once("SIGINT", () => process.exit(130));
    const ended = new Promise<string>((resolve) => lines.once("close", () => resolve(""))); // Ctrl-D is no yes
    const answer = await Promise.race([lines.question(question), ended]);
    lines.close();
    return answer;
  },
  isTerminal: process.stdout.isTTY === true,
});
