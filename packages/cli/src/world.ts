/** What the CLI sees of the process around it; tests bring their own. */
export type World = {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  /** Standard output. */
  out(content: string | Uint8Array): void;
  /** Standard error. */
  error(text: string): void;
  /** All of standard input. */
  stdin(): Promise<Uint8Array>;
  /** Asks the person at the terminal for a line; undefined when nobody is there to answer. */
  ask(question: string): Promise<string | undefined>;
  /** Whether a person looks at standard output. */
  isTerminal: boolean;
};
