/** The forms in which rows are sent: two uploads that are streamed, two that are one request per 512 rows. */
export const FORMS = ["ndjson", "csv", "binary", "json"] as const;
export type Form = (typeof FORMS)[number];
