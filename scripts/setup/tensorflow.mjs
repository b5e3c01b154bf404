// Gives @tensorflow/tfjs-node its native half. Its own install script downloads from a host of its own and
// fetches x64 libraries on arm64, so pnpm does not run it (allowBuilds in pnpm-workspace.yaml). Instead:
//   1. TensorFlow's shared libraries and C headers come out of its Python wheel (pinned by SHA-256);
//   2. the N-API addon is compiled from the sources inside the npm package, against the pinned Node's headers.
// Both stay in the cache and are linked into the package. 2.16.2 passes all of tfjs's specs; 2.18 and 2.20 fail one.
//
// A failure is remembered with its reason and does not stop the set-up: the WASM backend serves instead.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { buildDirectory, digestOf, placeFile, readJson, writeJson } from "./files.mjs";
import { inCache, inRoot, inToolchain, platform } from "./paths.mjs";
import { downloadWheel, findPython } from "./pip.mjs";
import { ask, run } from "./run.mjs";
import { node, nodeHeaders, pinnedNode } from "./toolchain.mjs";

const TENSORFLOW = "2.16.2";
const WHEELS = {
  "linux-x64": {
    name: "tensorflow-cpu",
    platform: "manylinux2014_x86_64",
    sha256: "c855cb6bf05d32dd5928086b03a5f6b4189b63c22b95e017703cbee4291023ca",
  },
  "linux-arm64": {
    name: "tensorflow",
    platform: "manylinux2014_aarch64",
    sha256: "8728b12bc86941d90d0a927c40d4b21f8820964a80439a7c45f850eb37d57067",
  },
};
const stamp = inToolchain("tensorflow.json");
const home = inCache(`tensorflow-${TENSORFLOW}-${platform}`);

export const tensorflowStep = {
  title: "Native TensorFlow",
  /** A remembered failure counts as done, or each start would repeat minutes of it; `--force` tries again. */
  isDone() {
    const was = readJson(stamp);
    return was !== undefined && was.key === key() && (was.failure !== undefined || fs.existsSync(was.addon));
  },
  async run() {
    try {
      const addon = await install();
      writeJson(stamp, { key: key(), addon });
      return `${TENSORFLOW}`;
    } catch (error) {
      writeJson(stamp, { key: key(), failure: error.message });
      return `not available, the WASM backend serves instead (npm run setup -- --force tries again)\n      ${error.message}`;
    }
  },
};

/** Why the WASM backend serves, when it does. */
export const tensorflowFailure = () => readJson(stamp)?.failure;

/** What the addon depends on; the lockfile stands for the version and the place of tfjs-node. */
const key = () => `${TENSORFLOW} ${platform} node ${pinnedNode()} ${digestOf([inRoot("pnpm-lock.yaml")])}`;

async function install() {
  const wheel = WHEELS[platform];
  if (wheel === undefined) throw new Error(`TensorFlow ${TENSORFLOW} has no wheel for ${platform}`);
  const packageDir = tfjsNode();
  const addon = path.join(packageDir, "lib/napi-v8/tfjs_binding.node");
  if (fs.existsSync(addon) && probe(packageDir)) return addon;

  if (!fs.existsSync(path.join(home, "lib"))) await extractLibraries(wheel);
  const { version } = readJson(path.join(packageDir, "package.json"));
  const built = path.join(home, `tfjs_binding-${version}-node-${pinnedNode()}.node`);
  if (!fs.existsSync(built)) await compile(packageDir, built);

  for (const file of fs.readdirSync(path.join(home, "lib"))) {
    placeFile(path.join(home, "lib", file), path.join(packageDir, "deps/lib", file));
  }
  placeFile(built, addon);
  if (probe(packageDir)) return addon;
  fs.rmSync(built); // a broken build must not be taken from the cache next time
  throw new Error("the addon was built but does not load; .toolchain/setup.log has the build");
}

/** The copy of the package that packages/tensorflow resolves. */
function tfjsNode() {
  const resolve = createRequire(inRoot("packages/tensorflow/package.json")).resolve;
  return path.dirname(resolve("@tensorflow/tfjs-node/package.json"));
}

async function extractLibraries(wheel) {
  const python = findPython();
  if (python === undefined) throw new Error("Python 3 with pip is needed to fetch TensorFlow's libraries");
  await buildDirectory(home, async (directory) => {
    const tags = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"];
    const file = await downloadWheel(directory, { python, version: TENSORFLOW, tags, ...wheel });
    await run(python, ["-c", EXTRACT, file, directory]);
    fs.rmSync(file);
    const lib = path.join(directory, "lib");
    // Symbols are two thirds of the size; without `strip` the libraries are only larger.
    for (const name of fs.readdirSync(lib)) ask("strip", ["--strip-unneeded", path.join(lib, name)]);
  });
}

/** Two libraries, those bundled with them, and the headers of the C API; the other 99 % of the wheel is Python. */
const EXTRACT = String.raw`
import os, re, shutil, sys, zipfile
wheel, out = zipfile.ZipFile(sys.argv[1]), sys.argv[2]
library = re.compile(r"^tensorflow/libtensorflow_(cc|framework)\.so\.2$|^[a-z_]+\.libs/[^/]+$")
header = re.compile(r"^tensorflow/(include/(?:tensorflow/c/|tensorflow/core/platform/ctstring|(?:xla/)?tsl/).*\.h)$")
for name in wheel.namelist():
    as_header = header.match(name)
    target = "lib/" + name.rsplit("/", 1)[1] if library.match(name) else as_header and as_header.group(1)
    if target:
        path = os.path.join(out, target)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with wheel.open(name) as source, open(path, "wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
`;

async function compile(packageDir, built) {
  const compiler = findCompiler();
  if (compiler === undefined) throw new Error("a C++ compiler is needed to build TensorFlow's addon");
  const libraries = fs.readdirSync(path.join(home, "lib")).filter((name) => name.startsWith("libtensorflow_"));
  const draft = `${built}.draft-${process.pid}`;
  await run(compiler[0], [
    ...compiler.slice(1),
    ...["-std=c++17", "-O2", "-fPIC", "-shared", "-DNAPI_VERSION=8"],
    ...[`-I${nodeHeaders}`, `-I${path.join(home, "include")}`],
    ...["tfjs_backend.cc", "tfjs_binding.cc"].map((source) => path.join(packageDir, "binding", source)),
    ...["-o", draft, `-L${path.join(home, "lib")}`, ...libraries.map((name) => `-l:${name}`)],
    ...["-Wl,-rpath,$ORIGIN/../../deps/lib", "-Wl,--allow-shlib-undefined"],
  ]);
  fs.renameSync(draft, built);
}

/** `CXX` if it is set, as in any build, else the usual names; as an argument vector. */
export function findCompiler() {
  const candidates = process.env.CXX ? [process.env.CXX.split(" ")] : [["c++"], ["g++"], ["clang++"]];
  return candidates.find(([command]) => ask(command, ["--version"]) !== undefined);
}

/** Loads the addon in the pinned Node and multiplies two matrices; a crash in there is only a failed probe. */
function probe(packageDir) {
  const source = `
    const util = require("node:util");
    util.isNullOrUndefined ??= (value) => value == null; // removed in Node 23, still called by tfjs-node
    const tf = require(${JSON.stringify(packageDir)});
    const [sum] = tf.matMul(tf.ones([2, 3]), tf.ones([3, 2])).dataSync();
    process.exit(tf.getBackend() === "tensorflow" && sum === 3 ? 0 : 1);`;
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: "3", NODE_OPTIONS: "" };
  return spawnSync(node, ["--no-deprecation", "-e", source], { env, stdio: "ignore", timeout: 60_000 }).status === 0;
}
