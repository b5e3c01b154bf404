/**
 * Runs a command by its arguments: the help when it is asked for, the mistake with the help when it cannot be read.
 * @param parse answers the options or "help"; what it throws says what is wrong with the arguments
 * @returns the exit code: 2 for arguments that cannot be read
 */
export async function runCommand<Options extends object>(
  help: string,
  parse: (args: string[]) => Options | "help",
  run: (options: Options) => Promise<number>,
): Promise<number> {
  let options: Options | "help";
  try {
    options = parse(process.argv.slice(2));
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${help}`);
    return 2;
  }
  if (options !== "help") return await run(options);
  console.log(help);
  return 0;
}

/** The whole number that an option was given, from 0. @throws when it is something else */
export function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (text !== "" && Number.isInteger(value) && value >= 0) return value;
  throw new Error(`${option} takes a whole number, not "${text}"`);
}
