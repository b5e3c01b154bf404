import type { Run } from "@millrace/local";
import { createClient, eventually, freePort, type HttpClient, type TopicFollower } from "@millrace/testkit";
import { type CommandOptions, command } from "./command.ts";

/** A container of ours, as the engine sees it now. */
export type Container = { id: string; service: string; pid: number; restarts: number; image: string; started: string };

/** What `docker compose` runs for one project name, with ports of its own. */
export type Stack = HttpClient & {
  /** Runs `docker compose` with this project's names, ports and images. */
  compose(
    args: readonly string[],
    options?: Pick<CommandOptions, "timeout_ms"> & { version?: string },
  ): Promise<string>;
  /** `run.json` of the operator, with the addresses of this host. @throws unless `read` was called after a start */
  readonly run: Run;
  /** Reads `run.json` out of its volume. */
  read(): Promise<Run>;
  /** Receives everything from the enterprise's subscription, from the first message on. */
  follow(): Promise<TopicFollower>;
  /** The running containers of a service, or of all. */
  containers(service?: string): Promise<Container[]>;
  /** Kills a container's process as a crash would: the engine's restart policy has to bring it back. @returns how long that took */
  crash(container: Container): Promise<number>;
};

export type StackOptions = {
  project: string;
  /** The repository: where docker-compose.yml is. */
  root: string;
  env: Readonly<Record<string, string>>;
  logFile: string;
};

const BUILD_MS = 40 * 60_000;
const UP_MS = 5 * 60_000;
const BACK_MS = 90_000;

export async function openStack({ project, root, env, logFile }: StackOptions): Promise<Stack> {
  const ports = { HTTP_PORT: await freePort(), NATS_PORT: await freePort(), AMQP_PORT: await freePort() };
  const settings = Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)]));
  const compose: Stack["compose"] = (args, { timeout_ms = UP_MS, version = "dev" } = {}) =>
    // Beside nobody's .env: what runs is what stands in the repository.
    command("docker", ["compose", "--env-file", "/dev/null", "--project-name", project, ...args], {
      cwd: root,
      env: { ...env, ...settings, MILLRACE_VERSION: version, COMPOSE_PROFILES: "", COMPOSE_FILE: "docker-compose.yml" },
      timeout_ms: args[0] === "build" ? BUILD_MS : timeout_ms,
      logFile,
    });
  const docker = (args: readonly string[]) => command("docker", args, { env, logFile });
  let run: Run | undefined;
  const readRun = () => {
    if (run === undefined) throw new Error("run.json was not read yet");
    return run;
  };
  const inspect = async (ids: readonly string[]): Promise<Container[]> => {
    if (ids.length === 0) return [];
    const found = JSON.parse(await docker(["inspect", ...ids])) as Inspected[];
    return found.map(({ Id, State, RestartCount, Config }) => ({
      id: Id,
      service: Config.Labels["com.docker.compose.service"] ?? "",
      pid: State.Pid,
      restarts: RestartCount,
      image: Config.Image,
      started: State.StartedAt,
    }));
  };
  return {
    ...createClient(readRun),
    compose,
    get run() {
      return readRun();
    },
    async read() {
      const print = 'fs.readFileSync(".millrace/run.json", "utf8")';
      const text = await compose(["run", "--rm", "--no-deps", "-T", "--entrypoint", "node", "cli", "-p", print]);
      run = onThisHost(JSON.parse(text) as Run, ports);
      return run;
    },
    async follow() {
      const { followTopic } = await import("@millrace/testkit/topic"); // Azure's SDK takes a second to load
      return await followTopic(readRun().serviceBus);
    },
    async containers(service) {
      const ids = await compose(["ps", "--quiet", ...(service === undefined ? [] : [service])]);
      return await inspect(ids.split("\n").filter(Boolean));
    },
    async crash({ id, pid, service }) {
      const began = performance.now();
      process.kill(pid, "SIGKILL");
      await eventually(
        async () => {
          const [now] = JSON.parse(await docker(["inspect", id])) as Inspected[];
          const { Health, Pid } = now!.State;
          if (Pid === 0 || Pid === pid || (Health && Health.Status !== "healthy"))
            throw new Error(`${service} is ${Pid === 0 ? "not running" : (Health?.Status ?? "the same")}`);
        },
        { within_ms: BACK_MS, every_ms: 200 },
      );
      return performance.now() - began;
    },
  };
}

type Inspected = {
  Id: string;
  RestartCount: number;
  Config: { Image: string; Labels: Record<string, string> };
  State: { Pid: number; StartedAt: string; Health?: { Status: string } };
};

type Ports = { HTTP_PORT: number; NATS_PORT: number; AMQP_PORT: number };

/** Between containers they have names; from outside they are ports of this host. */
function onThisHost(run: Run, { HTTP_PORT, NATS_PORT, AMQP_PORT }: Ports): Run {
  const { connectionString } = run.serviceBus;
  return {
    ...run,
    http: `http://127.0.0.1:${HTTP_PORT}`,
    nats: run.nats.replace(/@[^,]*$/, `@127.0.0.1:${NATS_PORT}`),
    serviceBus: {
      ...run.serviceBus,
      connectionString: connectionString.replace(/Endpoint=sb:\/\/[^;]*/, `Endpoint=sb://127.0.0.1:${AMQP_PORT}`),
    },
  };
}
