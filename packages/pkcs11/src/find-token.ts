import type { PKCS11 } from 'pkcs11js'
import { failure, moduleFailure } from './failure.ts'
import { describeSelector, type TokenSelector } from './selector.ts'
import { readUlong } from './ulong.ts'

/** A token in its slot. */
export interface FoundToken {
  readonly slot: Buffer
  readonly label: string
  readonly serial: string
  readonly flags: number
  /** What tells the token from others, whichever module it is reached through. */
  readonly name: string
}

interface Candidate extends FoundToken {
  readonly number: number
  readonly manufacturer: string
  readonly model: string
}

/** Finds the one token that a selector means, or says which there are. */
export function findToken(native: PKCS11, selector: TokenSelector): FoundToken {
  const found: Candidate[] = []
  const silent: string[] = []
  let slots: Buffer[]
  try {
    slots = native.C_GetSlotList(true)
    // Some modules see what is plugged in only when they are asked for the second time.
    if (slots.length === 0) slots = native.C_GetSlotList(true)
  } catch (error) {
    throw moduleFailure(error, 'Listing the slots')
  }
  for (const slot of slots) {
    try {
      const info = native.C_GetTokenInfo(slot)
      const { label, serialNumber, manufacturerID, model, flags } = info
      found.push({
        slot,
        number: readUlong(slot),
        label: trim(label),
        serial: trim(serialNumber),
        manufacturer: trim(manufacturerID),
        model: trim(model),
        flags,
        name: JSON.stringify([manufacturerID, model, serialNumber, label].map(trim)),
      })
    } catch (error) {
      // Perhaps it was removed in between; another one may still be the one that is meant.
      silent.push(
        `slot ${readUlong(slot)} does not answer (${moduleFailure(error, 'Its token').message})`,
      )
    }
  }
  const matching = found.filter(
    ({ label, serial, number, manufacturer, model }) =>
      (selector.label === undefined || selector.label === label) &&
      (selector.serial === undefined || selector.serial === serial) &&
      (selector.slot === undefined || selector.slot === number) &&
      (selector.manufacturer === undefined || selector.manufacturer === manufacturer) &&
      (selector.model === undefined || selector.model === model),
  )
  const [token] = matching
  if (token !== undefined && matching.length === 1) return token
  const listed = [
    ...found.map(
      ({ label, serial, number, manufacturer, model }) =>
        `label ${JSON.stringify(label)}, serial ${JSON.stringify(serial)}, slot ${number}${made(selector, manufacturer, model)}`,
    ),
    ...silent,
  ]
  const there =
    listed.length === 0
      ? 'there is no token at all; the module may need a configuration, or a variable that "env" has to name'
      : `there are: ${listed.join('; ')}`
  throw token === undefined
    ? failure('ERR_SIGNER_CONFIG', `No token has ${describeSelector(selector)}; ${there}`, {
        // Where no token is to be seen, one may have been pulled out.
        retryable: found.length === 0,
      })
    : failure(
        'ERR_SIGNER_CONFIG',
        `${matching.length} tokens have ${describeSelector(selector)}; choose by serial or slot: ${there}`,
      )
}

/** Who made a token, for whoever asked for it. */
function made(selector: TokenSelector, manufacturer: string, model: string): string {
  return selector.manufacturer === undefined && selector.model === undefined
    ? ''
    : `, manufacturer ${JSON.stringify(manufacturer)}, model ${JSON.stringify(model)}`
}

/** Text fields of PKCS#11 are filled up with blanks, and by some modules with zeros. */
function trim(text: string): string {
  return text.replace(/[\s\0]+$/, '')
}
