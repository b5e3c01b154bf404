import type { Change, Plan, Step } from "../azure/plan.ts";
import { plain } from "./table.ts";

const SIGN = { create: "+", update: "~", delete: "-" } as const;

/** The words for settings that the routes file names by their units. */
const SETTINGS: Readonly<Record<string, { name: string; unit?: string }>> = {
  duplicate_detection_s: { name: "duplicate detection, ids kept for", unit: "s" },
  sessions: { name: "requires sessions" },
  size_max_mb: { name: "size, at most", unit: "MB" },
  lock_s: { name: "lock", unit: "s" },
  deliveries_max: { name: "deliveries before it is dead-lettered" },
};

/** The difference for people: what would be done, what cannot be, and what else was seen. */
export function planText({ steps, refusals, notes }: Plan): string {
  const parts = [
    steps.map((step) => `  ${SIGN[step.action]} ${stepLine(step)}\n${details(step)}`).join(""),
    refusals
      .map(
        ({ what, why, fix }) =>
          `  ! refused: ${plain(what)}\n        why         ${plain(why)}\n        what to do  ${plain(fix)}\n`,
      )
      .join(""),
    notes.map((note) => `  · ${plain(note)}\n`).join(""),
    `${summary(steps, refusals.length)}\n`,
  ];
  return parts.filter((part) => part !== "").join("\n");
}

/** A step in a line. */
export function stepLine({ action, what, entity, subscription, rule }: Step): string {
  const path = [entity, subscription, what === "rule" ? rule?.name : undefined].filter((part) => part !== undefined);
  return plain(`${action} ${what} ${path.join("/")}`);
}

function details({ changes, why, broken }: Step): string {
  const lines = [
    ...changes.map(changeLine),
    ...(why === undefined ? [] : [`why: ${plain(why)}`]),
    ...(broken === undefined ? [] : [`NOT KEPT until then: ${plain(broken)}`]),
  ];
  return lines.map((line) => `        ${line}\n`).join("");
}

function changeLine({ setting, from, to }: Change): string {
  const { name, unit } = SETTINGS[setting] ?? { name: setting };
  const show = (value: Change["to"]): string =>
    typeof value === "boolean" ? (value ? "yes" : "no") : `${plain(value)}${unit === undefined ? "" : ` ${unit}`}`;
  return `${plain(name)}: ${from === undefined ? "" : `${show(from)} -> `}${show(to)}`;
}

function summary(steps: readonly Step[], refused: number): string {
  const count = (action: Step["action"]): number => steps.filter((step) => step.action === action).length;
  const counts = [
    [count("create"), "to create"],
    [count("update"), "to update"],
    [count("delete"), "to delete"],
    [refused, "refused"],
  ] as const;
  const said = counts.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`);
  return said.length > 0 ? `${said.join(", ")}.` : "Nothing to do.";
}
