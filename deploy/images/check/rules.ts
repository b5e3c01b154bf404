/** An image as it was built: what the engine says of it, and what its own layers hold. */
export type Image = {
  name: string;
  /** Bytes of its layers that are not its base's. */
  bytesAboveBase: number;
  user: string;
  entrypoint: readonly string[];
  healthcheck: readonly string[];
  env: readonly string[];
  labels: Readonly<Record<string, string>>;
  /** The command of each step. */
  history: readonly string[];
  /** Files of its own layers, also those that a later layer removes again. */
  files: readonly ImageFile[];
};

export type ImageFile = {
  /** Without a leading slash. */
  path: string;
  /** Permission bits, with setuid, setgid and sticky. */
  mode: number;
  /** Its text, unless it is large or binary. */
  text?: string;
};

/** TensorFlow's libraries are 460 MB by themselves. */
const LIMITS_MB: Readonly<Record<string, number>> = { inference: 520 };
const LIMIT_MB = 60;
const MB = 1_000_000;
const LABELS = ["title", "description", "licenses", "version", "revision", "created"];

/** What is wrong with an image by our own rules; empty when it may be shipped. */
export function mistakesIn(image: Image): string[] {
  return [...contained(image), ...described(image), ...small(image), ...withoutSecrets(image), ...clean(image)].map(
    (mistake) => `${image.name}: ${mistake}`,
  );
}

function contained({ user, entrypoint, healthcheck, files }: Image): string[] {
  const mistakes: string[] = [];
  if (!/^[1-9]\d*(:[1-9]\d*)?$/.test(user)) mistakes.push(`runs as "${user}", not as a numbered user other than root`);
  if (entrypoint.length === 0 || isShell(entrypoint)) mistakes.push("has no entry point without a shell");
  if (healthcheck[0] !== "CMD" || isShell(healthcheck.slice(1))) mistakes.push("has no HEALTHCHECK without a shell");
  for (const { path, mode } of files)
    if ((mode & 0o6000) !== 0) mistakes.push(`${path} runs with the rights of its owner (setuid or setgid)`);
  return mistakes;
}

/** Any word may be the shell: another program (`env`, `busybox`) can start it. */
const isShell = (words: readonly string[]) => words.some((word) => /(^|\/)(a|ba|da|k|z)?sh$/.test(word));

function described({ labels, files }: Image): string[] {
  const missing = LABELS.filter((name) => !labels[`org.opencontainers.image.${name}`]);
  return [
    ...missing.map((name) => `has no label org.opencontainers.image.${name}`),
    ...(files.some(({ path }) => path === SBOM) ? [] : [`has no list of what is in it (${SBOM})`]),
  ];
}

/** CycloneDX, made by the build. */
export const SBOM = "app/sbom.cdx.json";

function small({ name, bytesAboveBase }: Image): string[] {
  const app = name.replace(/^.*\//, "").replace(/:.*$/, "");
  const limit = LIMITS_MB[app] ?? LIMIT_MB;
  const size = Math.round(bytesAboveBase / MB);
  return size <= limit ? [] : [`is ${size} MB above its base, ${limit} at most`];
}

/** A value, where only a name or a place should stand. */
const SECRET_VALUES: Readonly<Record<string, RegExp>> = {
  "a private key": /-----BEGIN [A-Z ]*PRIVATE KEY-----(\s|\\[rn])+[A-Za-z0-9+/=]{40}/,
  "a Service Bus key": /SharedAccessKey=[A-Za-z0-9+/_-]{20,}/,
  // Not that of Microsoft's storage emulator, which everybody has and the SDK brings along.
  "a storage account's key":
    /AccountKey=(?!Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq)[A-Za-z0-9+/]{40,}/,
  "a registry's token": /_authToken=\S+|\bnpm_[A-Za-z0-9]{36}\b/,
  "a GitHub token": /\bgh[pousr]_[A-Za-z0-9]{36,}/,
  "a webhook's secret": /\bwhsec_[A-Za-z0-9+/]{24,}/,
};
/** A setting that holds a secret; one that ends with _FILE says where it is. */
const SECRET_SETTING = /^(?!\w*_FILE=)\w*(PASSWORD|SECRET|TOKEN|API_KEY|CONNECTION_STRING)\w*=./;
const SECRET_FILE =
  /(^|\/)(\.env(\.(?!example$).*)?|\.npmrc|\.netrc|id_(rsa|ed25519|ecdsa)|\.git\/config|\.millrace(\/.*)?|\.docker\/config\.json)$/;

function withoutSecrets({ env, history, files }: Image): string[] {
  const said = [...env, ...history.flatMap((step) => step.split(/\s+/))].filter((word) => SECRET_SETTING.test(word));
  return [
    ...said.map((word) => `gives ${word.split("=")[0]} a value, for everybody who has the image`),
    ...files.filter(({ path }) => SECRET_FILE.test(path)).map(({ path }) => `${path} is a file for secrets`),
    ...files.flatMap(({ path, text = "" }) =>
      Object.entries(SECRET_VALUES)
        .filter(([, pattern]) => pattern.test(text))
        .map(([what]) => `${path} has ${what} in it`),
    ),
  ];
}

const LEFTOVERS: Readonly<Record<string, RegExp>> = {
  "a package manager's cache":
    /^(root\/\.(npm|cache)|var\/lib\/apt\/lists|var\/cache\/apt|root\/\.local\/share\/pnpm)\/./,
  "a test of ours": /^app\/(?!node_modules\/).*\.test\.[jt]s$/,
  "source of ours": /^app\/(?!node_modules\/).*\.ts$/,
};

function clean({ files }: Image): string[] {
  return Object.entries(LEFTOVERS).flatMap(([what, pattern]) => {
    const found = files.filter(({ path }) => pattern.test(path));
    return found.length === 0
      ? []
      : [`holds ${what}: ${found[0]!.path}${found.length > 1 ? `, and ${found.length - 1} more` : ""}`];
  });
}
