/** Which vault holds the secret of the demonstration's webhooks: the local one, one of Azure's, or none. */
export type VaultChoice = { local: true } | { url: string } | "none";

/** Reads the setting KEY_VAULT: `local`, `none`, or the URL of a vault at Azure. @throws when it is none of these */
export function vaultChoice(text: string): VaultChoice {
  if (text === "local") return { local: true };
  if (text === "none" || text === "") return "none";
  const url = URL.parse(text);
  if (url?.protocol !== "https:" || url.username !== "")
    throw new Error(`KEY_VAULT is "${text}": it is local, none, or the URL of a vault, https://NAME.vault.azure.net`);
  return { url: url.origin };
}
