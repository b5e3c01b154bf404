import { spawn } from "node:child_process";
import { once } from "node:events";

/** Ends process groups when their parent is gone, however it went. */
export type Reaper = AsyncDisposable & {
  add(pid: number): void;
  remove(pid: number): void;
};

/**
 * A shell that reads `+pid` and `-pid` from a pipe only we hold. When we end, even by SIGKILL, the pipe closes and it
 * kills the groups still on its list. `PR_SET_PDEATHSIG` (setpriv) would do so per process, but not everywhere and not
 * for grandchildren; asking each child to watch its parent would not cover nats-server.
 */
const SCRIPT = `
trap '' INT TERM HUP QUIT
pids=' '
while read -r change pid; do
  case $change in
    +) pids="$pids$pid " ;;
    -) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
for pid in $pids; do kill -s KILL -- "-$pid" 2>/dev/null; done
`;

/** Starts the shell; it costs about 1 MB and no time. Closing it kills nothing that was removed before. */
export function startReaper(): Reaper {
  const shell = spawn("/bin/sh", ["-c", SCRIPT], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  shell.unref(); // it ends with us, never the other way round
  const pipe = shell.stdin;
  (pipe as unknown as { unref?: () => void }).unref?.();
  pipe.on("error", () => {}); // the shell was killed: what it guarded is only less guarded
  const gone = once(shell, "exit");
  const tell = (change: "+" | "-", pid: number) => {
    if (pipe.writable) pipe.write(`${change} ${pid}\n`);
  };
  return {
    add: (pid) => tell("+", pid),
    remove: (pid) => tell("-", pid),
    async [Symbol.asyncDispose]() {
      pipe.end();
      shell.ref();
      if (shell.exitCode === null && shell.signalCode === null) await gone;
    },
  };
}
