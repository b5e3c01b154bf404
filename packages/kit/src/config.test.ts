import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Type from "typebox";
import { describe, expect, it } from "vitest";
import { ConfigError, loadConfig } from "./config.ts";

const Config = Type.Object({
  NATS_URL: Type.String({ pattern: "^nats://", description: "where NATS listens" }),
  NATS_PASSWORD: Type.String({ minLength: 8 }),
  HTTP_PORT: Type.Integer({ minimum: 0, maximum: 65535, default: 8080 }),
  VERBOSE: Type.Boolean({ default: false }),
  LABEL: Type.Optional(Type.String()),
});

describe("loadConfig", () => {
  it("converts values and fills defaults", () => {
    const config = loadConfig(Config, { NATS_URL: "nats://a", NATS_PASSWORD: "12345678", VERBOSE: "true" });
    expect(config).toEqual({ NATS_URL: "nats://a", NATS_PASSWORD: "12345678", HTTP_PORT: 8080, VERBOSE: true });
  });

  it("names every mistake at once and shows no secret", () => {
    const load = () => loadConfig(Config, { NATS_PASSWORD: "hunter2", HTTP_PORT: "eighty" });
    expect(load).toThrow(ConfigError);
    try {
      load();
    } catch (error) {
      const { mistakes, message } = error as ConfigError;
      expect(mistakes.map((mistake) => mistake.split(":")[0])).toEqual(["NATS_URL", "NATS_PASSWORD", "HTTP_PORT"]);
      expect(message).toContain("where NATS listens");
      expect(message).not.toContain("hunter2");
    }
  });

  it("reads NAME from the file that NAME_FILE names, without its last line break", () => {
    const file = join(mkdtempSync(join(tmpdir(), "kit-")), "password");
    writeFileSync(file, "from-a-file\n");
    const config = loadConfig(Config, { NATS_URL: "nats://a", NATS_PASSWORD_FILE: file });
    expect(config.NATS_PASSWORD).toBe("from-a-file");
    expect(() => loadConfig(Config, { NATS_URL: "nats://a", NATS_PASSWORD_FILE: "/nowhere" })).toThrow(/ENOENT/);
  });
});
