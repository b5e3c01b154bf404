import { HEADER_LENGTH, type Problem } from "@millrace/contracts";
import type { TObject } from "typebox";
import { Compile } from "typebox/compile";

/** Checks of a call's headers, whichever front it came by. Names are in lower case. */

export type Headers = Readonly<Record<string, string | string[] | undefined>>;
export type HeaderCheck = (headers: Headers) => Problem | undefined;

/** Whether the headers have the form that an operation wants. */
export function headerCheck(schema: TObject): HeaderCheck {
  const validator = Compile(schema);
  return (headers) => {
    if (validator.Check(headers)) return undefined;
    const first = validator.Errors(headers)[0];
    return { code: "invalid-header", detail: `${first?.instancePath.slice(1)} ${first?.message}` };
  };
}

/** Whether the body is of one of the media types, and says where its JSON part ends when it is binary. */
export function mediaCheck(types: readonly string[]): HeaderCheck {
  const optional = types.includes("application/json"); // existing OIP clients name no content type
  return (headers) => {
    const encoding = headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity")
      return { code: "unsupported-media-type", detail: `content-encoding "${encoding}" is not supported` };
    const type = String(headers["content-type"] ?? "")
      .replace(/;.*/s, "")
      .trim()
      .toLowerCase();
    if (type === "" ? !optional : !types.includes(type))
      return {
        code: "unsupported-media-type",
        detail: `the content type is ${type === "" ? "not given" : `"${type}"`}; this takes ${types.join(", ")}`,
      };
    if (type === "application/octet-stream" && headers[HEADER_LENGTH] === undefined)
      return { code: "invalid-header", detail: `a binary body needs the header ${HEADER_LENGTH}` };
    return undefined;
  };
}
