// @ts-check

import { table } from '../support/markdown-table.js'
import { awsKms } from './aws-kms.js'
import { azureKeyVault } from './azure-key-vault.js'
import { atOnceSeconds } from './cell.js'
import { faults } from './faults.js'
import { gcpKms } from './gcp-kms.js'

/** @typedef {Pick<import('./cell.js').Cell<never>, 'code' | 'retryable' | 'calls' | 'ends'>} Shown */

/** @type {readonly { title: string, cells: { readonly [fault in import('./faults.js').FaultName]: Shown | undefined } }[]} */
const backends = [
  { title: 'AWS KMS', cells: awsKms },
  { title: 'Google Cloud KMS', cells: gcpKms },
  { title: 'Azure Key Vault', cells: azureKeyVault },
]

/** @type {Record<import('./faults.js').Place, string>} */
const sections = {
  call: 'any request',
  signature: 'a signature',
  key: 'the reading of the key',
  state: 'the key, after the load',
}

const introduction = `# Fault matrix

What a signer over a key in a cloud makes of everything that can go wrong there.

<!-- Made by "npm run docs" from the cells that the tests assert; what is changed here is lost. -->

A cell says with which code of \`SignerError\` the promise rejects, whether the error is \`retryable\`, how many calls reach the service (those of the SDK's own retries included; nothing is tried again by a signer), and when it ends:

- **at once**: within ${atOnceSeconds} s, since nothing is waited for;
- **after retries**: when the SDK has done with its retries; with a deadline that is too short for them, just before the deadline, with the same code;
- **at the deadline**: of \`timeoutSeconds\`, 10 by default.

\`–\` stands where a service has no such thing. _Signs_ means that nothing is wrong with it: the signature comes, by the key that was loaded. _Reason_ is \`signal.reason\`, as it is. Google Cloud KMS is reached over gRPC. Retries are those of the SDKs' defaults, in the releases that this repository pins; "2 or more" are as many as there is time for. The first requests without a token, which Key Vault answers with its challenge, are not counted.

A fault of _any request_ was met at the reading of the key, at the trial signature of a load and at a later signature, with the same outcome; one of _a signature_ at the two of them; one of _the key_ at a signature and at a new load. After each fault but those of the key itself, the next signature was right. Where a row shows an error, no signature was handed out.`

/** @param {Shown | undefined} cell */
function text(cell) {
  if (cell === undefined) return '–'
  const { code, retryable, calls, ends } = cell
  const outcome =
    code === 'signs' ? '_signs_' : code === 'reason' ? '_reason_' : `\`${code.slice(11)}\``
  const count = calls === 'many' ? '2 or more calls' : calls === 1 ? '1 call' : `${calls} calls`
  return [outcome, ...(retryable ? ['retryable'] : []), count, ends].join(', ')
}

/**
 * The fault matrix, out of the cells that the tests of the backends assert.
 *
 * @returns {string} Markdown
 */
export function faultMatrix() {
  const names = /** @type {import('./faults.js').FaultName[]} */ (Object.keys(faults))
  const rows = names.map((name) => [
    name,
    sections[faults[name]],
    ...backends.map(({ cells }) => text(cells[name])),
  ])
  const head = ['Fault', 'Strikes', ...backends.map(({ title }) => title)]
  return `${introduction}\n\nCodes are written without \`ERR_SIGNER_\`.\n\n${table([head, ...rows])}\n`
}
