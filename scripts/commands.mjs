// What each root script runs once the set-up is done, on the pinned Node and with `.toolchain/bin` first on PATH.
// A command with several parts runs them all, says which failed, and fails if one did.

const bin = (name) => `node_modules/.bin/${name}`;

/** Vitest's five seconds are too few for real servers on a busy machine; tests bound their own waits more tightly. */
const PATIENCE = ["--testTimeout=120000", "--hookTimeout=120000"];

export const COMMANDS = {
  setup: { about: "install everything (--force repeats it)", parts: () => [] },
  start: {
    about: "run Millrace with a demonstration (--help lists the options)",
    parts: (args) => [{ run: ["node", "packages/local/src/main.ts", ...args] }],
  },
  test: {
    about: "run every test",
    parts: (args) => [
      { title: "Tests of the set-up", run: ["node", "--test", "scripts/**/*.test.mjs"] },
      // One package at a time: on two cores, suites that start real servers slow each other down more than they gain.
      {
        title: "Tests",
        run: [bin("turbo"), "run", "test", "--concurrency=1", "--continue", ...args, "--", ...PATIENCE],
      },
    ],
  },
  check: {
    about: "every CI step but the tests",
    parts: () => [
      { title: "Lint and format", run: [bin("biome"), "ci", "--error-on-warnings", "."] },
      { title: "Types", run: [bin("turbo"), "run", "typecheck", "--output-logs=errors-only"] },
      { title: "Unused code", run: [bin("knip")] },
      { title: "Generate documents", run: ["node", "scripts/generate.ts"] },
      {
        title: "Generated documents are committed",
        run: [
          ...["git", "diff", "--exit-code", "--", "docs/api", "deploy/bicep/generated", "deploy/observability/grafana"],
          ...["deploy/helm/generated", "deploy/helm/millrace/generated"],
        ],
      },
    ],
  },
  bench: {
    about: "measure (a name selects one; --json)",
    parts: (args) => [{ run: ["node", "bench/src/main.ts", ...args] }],
  },
  chaos: {
    about: "kill, pause and cut off processes under load, and make the books (--kills N --seed S [--cluster])",
    parts: (args) => [{ run: ["node", "e2e/src/chaos/main.ts", ...args] }],
  },
  "power-loss": {
    about: "cut the broker's power under load and look for what was lost (--rounds, --seed, --help)",
    parts: (args) => [{ run: ["node", "e2e/src/power-loss/main.ts", ...args] }],
  },
  millrace: {
    about: "check the books, decide about dead letters (--help lists the commands)",
    parts: (args) => [{ run: ["node", "packages/cli/bin/millrace.mjs", ...args] }],
  },
  mutations: {
    about: "take out one safety step at a time and see a test fail (names select)",
    parts: (args) => [{ run: ["node", "scripts/mutations.ts", ...args] }],
  },
  conformance: {
    about: "run the Azure SDKs' own tests against the local Service Bus (--help lists the options)",
    parts: (args) => [{ run: ["node", "packages/servicebus/conformance/main.ts", ...args] }],
  },
  "deploy:bicep": {
    about: "check deploy/bicep, by the Bicep compiler where it is on PATH and by its grammar and types everywhere",
    parts: () => [{ run: ["node", "deploy/bicep/check/main.ts"] }],
  },
  "test:containers": {
    about: "build every image and play docker-compose.yml on a real container engine (--help lists the options)",
    parts: (args) => [{ run: ["node", "e2e/src/containers/main.ts", ...args] }],
  },
  "deploy:images": {
    about: "look into our built images by our own rules: no root, no secret in a layer, size (needs an engine)",
    parts: (args) => [{ run: ["node", "deploy/images/check/main.ts", ...args] }],
  },
  "deploy:compose": {
    about: "ask docker compose about every profile of docker-compose.yml, and check our own rules (no engine needed)",
    parts: () => [{ run: ["node", "deploy/compose/check/main.ts"] }],
  },
  "deploy:observability": {
    about:
      "check rules by promtool, with unit tests of every alert, and the collector's configuration by the collector",
    parts: (args) => [{ run: ["node", "deploy/observability/check/main.ts", ...args] }],
  },
  "deploy:helm": {
    about:
      "lint the chart, render its examples and judge what comes out (needs Go; helm, kubeconform and promtool are built by it if need be)",
    parts: () => [{ run: ["node", "deploy/helm/check/main.ts"] }],
  },
  "deploy:check": {
    about: "all checks of what is deployed, each with the programs that it needs",
    parts: () =>
      ["bicep", "compose", "helm", "observability"].map((part) => ({
        title: `deploy:${part}`,
        run: ["node", `deploy/${part}/check/main.ts`],
      })),
  },
  train: { about: "train a model", parts: (args) => [{ run: ["node", "models/src/train.ts", ...args] }] },
};
