import { expect, test } from 'vitest'
import { table } from '../support/markdown-table.js'
import { awsKms } from './aws-kms.ts'
import { azureKeyVault } from './azure-key-vault.ts'
import { atOnceSeconds, type Expectation } from './expectation.ts'
import { type FaultName, type FaultScope, faults } from './faults.ts'
import { gcpKms } from './gcp-kms.ts'

type Shown = Pick<Expectation<never>, 'code' | 'retryable' | 'calls' | 'ends'>

const backends: readonly {
  readonly title: string
  readonly expected: { readonly [fault in FaultName]: Shown | undefined }
}[] = [
  { title: 'AWS KMS', expected: awsKms },
  { title: 'Google Cloud KMS', expected: gcpKms },
  { title: 'Azure Key Vault', expected: azureKeyVault },
]

const scopes: { readonly [scope in FaultScope]: string } = {
  call: 'any request',
  signature: 'a signature',
  key: 'reading the key',
  state: 'the key, after the load',
}

const introduction = `# Fault matrix

How a signer over a key in a cloud key service reacts to each fault of that service.

<!-- Written by "npm run docs" from the expectations that the tests assert. Do not edit. -->

Each entry says which code of \`SignerError\` the promise rejects with, whether the error is \`retryable\`, how many calls reach the service (including the SDK's own retries; a signer adds no retries), and when the promise settles:

- **at once**: within ${atOnceSeconds} s, without waiting;
- **after retries**: when the SDK has used up its retries; if the deadline is too short for them, just before the deadline, with the same code;
- **at the deadline**: when \`timeoutSeconds\` have passed, 10 by default.

\`–\` means that the service does not have this fault. _Signs_ means that the fault does not matter: the signature is returned, by the key that was loaded. _Reason_ means that the promise rejects with \`signal.reason\` itself. Google Cloud KMS is reached over gRPC. Retries are the defaults of the SDK releases that this repository pins; "2 or more calls" means as many as fit before the deadline. The first requests without a token, which Key Vault answers with a challenge, are not counted.

A fault of _any request_ was tested when the key is read, at the trial signature of a load and at a later signature, always with the same result; a fault of _a signature_ at the trial signature and at a later one; a fault of _the key_ at a signature and at a new load. After each fault, except for faults of the key itself, the next signature was right. Where an entry shows an error, no signature was returned.`

function entry(expected: Shown | undefined): string {
  if (expected === undefined) return '–'
  const { code, retryable, calls, ends } = expected
  const outcome =
    code === 'signs' ? '_signs_' : code === 'reason' ? '_reason_' : `\`${code.slice(11)}\``
  const count = calls === 'many' ? '2 or more calls' : calls === 1 ? '1 call' : `${calls} calls`
  return [outcome, ...(retryable ? ['retryable'] : []), count, ends].join(', ')
}

function faultMatrix(): string {
  const names = Object.keys(faults) as FaultName[]
  const rows = names.map((name) => [
    name,
    scopes[faults[name]],
    ...backends.map(({ expected }) => entry(expected[name])),
  ])
  const head = ['Fault', 'Affects', ...backends.map(({ title }) => title)]
  return `${introduction}\n\nCodes are written without \`ERR_SIGNER_\`.\n\n${table([head, ...rows])}\n`
}

test('docs/fault-matrix.md shows the expectations of the tests; "npm run docs" writes it', async () => {
  await expect(faultMatrix()).toMatchFileSnapshot('../../docs/fault-matrix.md')
})
