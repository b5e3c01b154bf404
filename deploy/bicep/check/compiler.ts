import { execFile } from "node:child_process";

type Ended = { code: number | string; out: string; error: string };

const bicep = (args: string[]): Promise<Ended> =>
  new Promise((resolve) => {
    execFile("bicep", args, { timeout: 300_000, maxBuffer: 1 << 28 }, (failure, out, error) =>
      resolve({ code: failure?.code ?? (failure ? "killed" : 0), out, error }),
    );
  });

/** What the compiler on PATH calls itself; undefined where there is none. */
export async function compilerVersion(): Promise<string | undefined> {
  const { code, out } = await bicep(["--version"]);
  return code === 0 ? out.trim() : undefined;
}

/** Builds and lints everything, and answers with each line that it says: where all is well it says none. */
export async function compile(directory: string): Promise<string[]> {
  const runs = [
    ["build", `${directory}main.bicep`, "--stdout"],
    ["lint", `${directory}main.bicep`],
    ["build-params", `${directory}main.bicepparam`, "--stdout"],
  ];
  const said: string[] = [];
  for (const args of runs) {
    const { code, error } = await bicep(args);
    const lines = error.split("\n").filter((line) => line.trim() !== "");
    said.push(...lines);
    if (code !== 0 && lines.length === 0) said.push(`bicep ${args.join(" ")} ended with ${code}`);
  }
  return [...new Set(said)];
}
