import { homedir } from "node:os";
import path from "node:path";

/** What is built or installed for the suites; any of it may be removed. */
export const CACHE = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), ".cache"), "millrace", "conformance");
