// What must be on the machine already. All that is missing is named at once, with the command that installs it.
import { platform } from "./paths.mjs";
import { findPython } from "./pip.mjs";
import { ask } from "./run.mjs";
import { findCompiler } from "./tensorflow.mjs";

const NEEDS = [
  {
    name: "npm",
    why: "it installs the pinned Node and pnpm",
    required: true,
    isThere: () => ask("npm", ["--version"]) !== undefined,
    install: { debian: "npm", fedora: "nodejs-npm", alpine: "npm" },
  },
  {
    name: "Python 3 with pip",
    why: "nats-server and TensorFlow's libraries come as wheels; without it nats-server must be on PATH or be built with Go, and the WASM backend serves",
    isThere: () => findPython() !== undefined,
    install: { debian: "python3 python3-pip", fedora: "python3 python3-pip", alpine: "python3 py3-pip" },
  },
  {
    name: "a C++ compiler",
    why: "it builds TensorFlow's addon; without it the WASM backend serves",
    isThere: () => findCompiler() !== undefined,
    install: { debian: "g++", fedora: "gcc-c++", alpine: "g++" },
  },
];

/** Runs at each set-up that has work to do: it costs half a second. */
export const prerequisitesStep = {
  title: "Prerequisites",
  isDone: () => true,
  async run() {
    const unsupported = whyUnsupported({
      platform,
      node: process.versions.node,
      glibc: process.report?.getReport().header.glibcVersionRuntime,
    });
    if (unsupported !== undefined) throw new Error(unsupported);
    const missing = NEEDS.filter((need) => !need.isThere());
    const text = missing.map(describe).join("\n");
    if (missing.some((need) => need.required)) throw new Error(text);
    return missing.length === 0 ? "all there" : `some missing\n${text}`;
  },
};

/**
 * Why Millrace cannot run here, or undefined.
 * @param {{ platform: string, node: string, glibc: string | undefined }} machine
 */
export function whyUnsupported({ platform, node, glibc }) {
  if (platform !== "linux-x64" && platform !== "linux-arm64") {
    return `${platform} is not supported: Linux on x64 or arm64 is (on macOS and Windows use a Linux VM, WSL 2 or a container)`;
  }
  if (Number(node.split(".")[0]) < 20) {
    return `Node ${node} is too old to run the set-up, which needs 20 or newer and installs the pinned one itself`;
  }
  if (glibc === undefined) {
    return "this Linux has no glibc (Alpine's is musl), and the pinned Node and TensorFlow are built for it: use a glibc distribution or a container of one";
  }
  return undefined;
}

export function describe({ name, why, install }) {
  return [
    `    Missing: ${name} (${why})`,
    `      Debian, Ubuntu: sudo apt-get install ${install.debian}`,
    `      Fedora:         sudo dnf install ${install.fedora}`,
    `      Alpine:         sudo apk add ${install.alpine}`,
  ].join("\n");
}
