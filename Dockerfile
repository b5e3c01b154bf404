# One file for every image: `--build-arg APP=` names a folder of services/ or packages/ whose package.json has a `bundle`.
# It needs BuildKit, and builds for linux/amd64 and linux/arm64 alike.
ARG NODE_VERSION=24.21.0
ARG BASE_IMAGE=node:${NODE_VERSION}-bookworm-slim

FROM ${BASE_IMAGE} AS base

# The clone's own pnpm and Node headers, by the lockfile that also sets up a developer's clone; turbo by package.json.
FROM base AS tools
ENV CI=true TURBO_TELEMETRY_DISABLED=1 PATH=/repo/.toolchain/bin:/turbo/node_modules/.bin:$PATH
WORKDIR /repo
COPY .node-version package.json ./
COPY scripts/setup/ scripts/setup/
COPY scripts/toolchain/package.json scripts/toolchain/package-lock.json scripts/toolchain/
RUN --mount=type=cache,target=/root/.npm \
    node scripts/setup/step.mjs toolchain \
    && npm install --prefix /turbo --no-audit --no-fund --loglevel=error \
       "turbo@$(node -p 'require("./package.json").devDependencies.turbo')"

# What this one application needs of the workspace. Only what changes in there builds it anew.
FROM tools AS pruned
ARG APP
WORKDIR /workspace
COPY . .
RUN turbo prune "@millrace/${APP}" --docker --out-dir=/pruned

FROM tools AS built
ARG APP
# Only TensorFlow has something to compile.
RUN if [ "${APP}" = inference ]; then \
      apt-get update && apt-get install --yes --no-install-recommends g++ binutils python3 python3-pip; \
    fi
COPY --from=pruned /pruned/json/ ./
RUN --mount=type=cache,id=millrace-pnpm-store,sharing=locked,target=/root/.local/share/pnpm/store \
    pnpm install --frozen-lockfile --reporter=append-only
RUN --mount=type=cache,id=millrace-native,sharing=locked,target=/root/.cache/millrace \
    if [ "${APP}" = inference ]; then node scripts/setup/step.mjs tensorflow; fi
COPY --from=pruned /pruned/full/ ./
RUN --mount=type=cache,id=millrace-pnpm-store,sharing=locked,target=/root/.local/share/pnpm/store \
    turbo run build --filter="@millrace/${APP}" --only \
    && mv */"${APP}"/dist /out && mkdir /out/data \
    && pnpm --filter "@millrace/${APP}" sbom --prod --sbom-format=cyclonedx --sbom-type=application \
       --out=/out/app/sbom.cdx.json

# Node and one folder. Nothing in it needs a shell, a writable root or root's rights.
FROM base AS image
ARG APP
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="millrace-${APP}" \
      org.opencontainers.image.description="Millrace, event-driven inference: ${APP}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
ENV NODE_ENV=production
# A new volume takes the owner of the folder that it covers: /data of its own process, /volumes of others.
COPY --from=built --chown=10001:10001 /out/data /data
COPY --from=built --chown=10001:10001 /out/volumes /volumes
COPY --from=built /out/app /app
WORKDIR /app
USER 10001:10001
HEALTHCHECK --interval=3s --timeout=4s --start-period=60s --retries=3 CMD ["node", "health.js"]
ENTRYPOINT ["node"]
CMD ["main.js"]
