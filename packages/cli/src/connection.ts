import { readFile } from "node:fs/promises";
import path from "node:path";
import { isToken } from "@millrace/contracts";
import { usage } from "./failure.ts";
import type { World } from "./world.ts";

/** Options that every command has. */
export type ConnectionOptions = {
  url?: string;
  token?: string;
  tokenFile?: string;
  tenant?: string;
  project?: string;
  data?: string;
};

/** Where the API is, and who asks. */
export type Connection = { url: URL; token: string; tenant: string | undefined; project: string | undefined };

const DATA_DIR = ".millrace";
const HOW = "Give --url and a token (MILLRACE_TOKEN or --token-file), or name a running Millrace by --data DIR.";

/**
 * Flags before environment before the `run.json` of a Millrace that runs here. The token of `run.json` goes only to the
 * server that `run.json` names: an address from elsewhere needs a token of its own.
 * @throws Failure naming what is missing
 */
export async function connectionOf(options: ConnectionOptions, { env, cwd }: World): Promise<Connection> {
  const run = await readRun(path.resolve(cwd, options.data ?? DATA_DIR), options.data !== undefined);
  const given = options.url ?? env.MILLRACE_URL ?? run?.http;
  if (given === undefined)
    throw usage(`No Millrace runs here: ${options.data ?? DATA_DIR}/run.json is not there.`, HOW);
  const url = parseUrl(given);
  const token =
    options.token ??
    (options.tokenFile === undefined ? undefined : await readToken(path.resolve(cwd, options.tokenFile))) ??
    env.MILLRACE_TOKEN ??
    (run?.http !== undefined && parseUrl(run.http).href === url.href ? run.token : undefined);
  if (token === undefined || token === "") throw usage(`There is no token for ${url.origin}.`, HOW);
  if (!/^[\x21-\x7e]+$/.test(token)) throw usage("The token has characters that a token cannot have.");
  const tenant = options.tenant ?? env.MILLRACE_TENANT ?? run?.tenant;
  const project = options.project ?? env.MILLRACE_PROJECT ?? run?.project;
  return { url, token, tenant, project };
}

/** The tenant and project of a command about one. @throws Failure when they are not known */
export function projectOf({ tenant, project }: Connection): { tenant: string; project: string } {
  const missing = [tenant === undefined ? "--tenant" : [], project === undefined ? "--project" : []].flat();
  if (tenant === undefined || project === undefined)
    throw usage(`${missing.join(" and ")} must be given.`, "MILLRACE_TENANT and MILLRACE_PROJECT say it as well.");
  for (const name of [tenant, project])
    if (!isToken(name)) throw usage(`"${name}" cannot be a tenant or project.`, "Use 1 to 64 of A-Z a-z 0-9 _ -.");
  return { tenant, project };
}

/** What is used of `run.json`. */
type Run = Partial<Record<"http" | "token" | "tenant" | "project", string>> & {
  serviceBus?: { connectionString: string; certificateFile?: string };
};

/**
 * The `run.json` of a Millrace whose data is in the directory.
 * @returns undefined when none runs there
 * @throws Failure when none runs there although it was asked for
 */
export async function readRun(directory: string, asked: boolean): Promise<Run | undefined> {
  const file = path.join(directory, "run.json");
  try {
    return JSON.parse(await readFile(file, "utf8")) as Run;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
      if (asked)
        throw usage(`No Millrace runs in ${directory}: it has no run.json.`, "Start it, or name another --data.");
      return undefined;
    }
    throw usage(`${file} cannot be read: ${(cause as Error).message}`);
  }
}

async function readToken(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (cause) {
    throw usage(`The token file cannot be read: ${(cause as Error).message}`);
  }
}

function parseUrl(given: string): URL {
  const url = URL.parse(given);
  if (url?.protocol !== "http:" && url?.protocol !== "https:")
    throw usage(`"${given}" is not the address of a server.`, "Write it as http://127.0.0.1:8080 or https://….");
  return url;
}
