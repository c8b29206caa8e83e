import { abortFaults } from './abort.ts'
import { concurrencyFaults } from './concurrency.ts'
import type { Fault } from './faulty-signer.ts'
import { inputFaults } from './input.ts'
import { keyFaults } from './key.ts'
import { openingFaults } from './opening.ts'
import { privateMemberFaults } from './private-members.ts'
import { signatureFaults } from './signature.ts'
import { widthFaults } from './width.ts'

/** At least one fault for each check, but for `verifier`, whose fault is in the runtime and not in a signer. */
export const faults: readonly Fault[] = [
  ...openingFaults,
  ...privateMemberFaults,
  ...keyFaults,
  ...signatureFaults,
  ...widthFaults,
  ...inputFaults,
  ...concurrencyFaults,
  ...abortFaults,
]
