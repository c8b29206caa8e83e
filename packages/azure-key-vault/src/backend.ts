/** Name of this backend, in errors and diagnostics. */
export const backend = 'azure-key-vault'

/** What it stands for, in messages. */
export const service = 'Azure Key Vault'
