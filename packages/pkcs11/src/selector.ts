/**
 * Which token: by its label, its serial number, or the number of the slot it is in. Manufacturer and model name none,
 * but must be the token's when they are given.
 */
export interface TokenSelector {
  readonly label?: string | undefined
  readonly serial?: string | undefined
  readonly slot?: number | undefined
  readonly manufacturer?: string | undefined
  readonly model?: string | undefined
}

/** Which key: by its label, or by its ID in hexadecimal. */
export interface KeySelector {
  readonly label?: string | undefined
  readonly id?: string | undefined
}

/** A key by its name, and what makes sure that it is still the same one. */
export interface BoundKey {
  readonly selector: KeySelector
  readonly identity: string
}

/** The names of a selector for people. */
export function describeSelector(selector: TokenSelector | KeySelector): string {
  return Object.entries(selector)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
    .join(' and ')
}
