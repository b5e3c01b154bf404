// What a container's HEALTHCHECK runs: whether the process beside it says that it can do its work. Node alone, no shell and
// no other program; plain `http`, because a `fetch` takes three times the time to load.
import http from "node:http";
import net from "node:net";

const TIMEOUT_MS = 3_000;
const { HEALTH_PORT, HTTP_PORT, PORT } = process.env;
const host = "127.0.0.1";

const end = (well) => process.exit(well ? 0 : 1);
setTimeout(() => end(false), TIMEOUT_MS);

if (HEALTH_PORT || HTTP_PORT) {
  http
    .get({ host, port: HEALTH_PORT || HTTP_PORT, path: "/readyz", agent: false }, ({ statusCode }) =>
      end(statusCode === 200),
    )
    .on("error", () => end(false));
} else {
  // No HTTP of its own: it listens, hence it has started.
  net.connect({ host, port: Number(PORT) }, () => end(true)).on("error", () => end(false));
}
