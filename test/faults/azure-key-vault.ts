import type { KeyObject } from 'node:crypto'
import type { Fault } from '../servers/azure-key-vault/faults.js'
import type { AzureKeyVault, KeyOptions } from '../servers/azure-key-vault.js'
import { type Expectation, expectations, type FaultTable } from './expectation.ts'

/** Where the faults of this service are injected. */
export interface AzureKeyVaultTarget {
  readonly vault: AzureKeyVault
  /** Name of the key, which has two versions. */
  readonly name: string
  /** Identifier of the version that signs. */
  readonly id: string
  /** Another private key of the same kind. */
  readonly other: KeyObject
}

const expected = expectations<AzureKeyVaultTarget>(4)
const { denied, disabled, integrity, retried, signs, unavailable } = expected

const fault =
  (name: Fault): Expectation<AzureKeyVaultTarget>['inject'] =>
  ({ vault }, { on, times }) =>
    vault.fail(name, {
      on: on === 'key' ? 'get' : 'sign',
      retryAfterSeconds: 0,
      ...(times === undefined ? {} : { times }),
    })

const changed =
  (change: KeyOptions): Expectation<AzureKeyVaultTarget>['inject'] =>
  ({ vault, id }) =>
    vault.updateKey(id, change)

const failing = 'Azure Key Vault is failing'
const notTheService = 'does not follow the protocol of Azure Key Vault'
const past = new Date('2020-01-01')
const future = new Date('2999-01-01')

export const azureKeyVault: FaultTable<AzureKeyVaultTarget> = {
  'too many requests': expected.throttled('', fault('throttle'), retried),
  'internal error (500)': unavailable(failing, fault('internal-error'), retried),
  'unavailable (503)': unavailable(failing, fault('unavailable'), retried),
  'unavailable, without a body': unavailable(failing, fault('unavailable-without-body'), retried),
  'a dependency of the service times out': undefined,
  'key temporarily unavailable': undefined,
  'connection reset before the answer': unavailable('', fault('cut'), retried),
  'connection reset within the answer': unavailable(
    'cut in the middle of its answer',
    fault('cut-short'),
  ),
  'HTML with an error status': unavailable('', fault('error-page'), retried),
  'HTML with status 200': unavailable(notTheService, fault('page')),
  'HTML with a JSON content type': unavailable(notTheService, fault('page-as-json')),
  'no JSON': unavailable(notTheService, fault('no-json')),
  redirect: unavailable(notTheService, fault('redirect')),
  'no answer': expected.timeout(fault('hang')),
  'no answer, then an abort': expected.aborted(fault('hang')),
  'no content (204)': unavailable(notTheService, fault('no-content')),
  'conflict (409)': unavailable('still in progress (409 Conflict)', fault('conflict')),
  'gone (410)': expected.notFound('no longer exists', fault('gone')),
  'unknown failure': expected.unknown('', fault('surprise')),
  'gRPC status UNKNOWN': undefined,
  'gRPC status ABORTED': undefined,
  'gRPC status CANCELLED': undefined,
  'gRPC status DATA_LOSS': undefined,
  'gRPC status ALREADY_EXISTS': undefined,
  'gRPC status OUT_OF_RANGE': undefined,
  'gRPC status INVALID_ARGUMENT': undefined,
  'gRPC status UNIMPLEMENTED': undefined,
  'request damaged on the way': undefined,

  'no permission to read the public key': denied('lacks keys/get', ({ vault }) =>
    vault.deny('get', 'rbac'),
  ),
  'no permission to sign': denied('lacks keys/sign', ({ vault }) => vault.deny('sign', 'rbac')),
  'no permission to list versions': undefined,
  'no permission, without saying which': denied('', fault('denied-without-body')),
  'no permission to assume the role': undefined,
  'not admitted by the network rules': denied('network rules', ({ vault }) =>
    vault.deny('sign', 'firewall'),
  ),
  'API not enabled': undefined,
  'credentials not accepted': denied('does not accept the token', fault('token-refused')),
  'credentials expired': undefined,
  'secret access key is wrong': undefined,

  'key disabled': disabled('is disabled', changed({ enabled: false })),
  'key pending deletion': undefined,
  'key destroyed': undefined,
  'key without its material': undefined,
  'key store disconnected': undefined,
  'external key manager refuses': undefined,
  'external key manager denies access': undefined,
  'key expired': disabled('expired', changed({ expires: past })),
  'key not yet valid': disabled('not', changed({ notBefore: future })),
  'key not for signing': expected.unsupported('"sign"', changed({ keyOps: ['verify'] })),
  'key gone': expected.notFound('check "keyId"', ({ vault, name }) => vault.deleteKey(name)),
  'key replaced under its name': integrity('does not verify', ({ vault, id, other }) =>
    vault.updateKey(id, { privateKey: other }),
  ),
  'alias moved to another key': undefined,
  'version added': signs(({ vault, name }) => void vault.createKey(name, { nth: 1 }), {
    byAlias: true,
  }),

  'empty answer': integrity('returned no signature', fault('empty')),
  'no signature': integrity('no signature', fault('no-signature')),
  'empty signature': integrity('no signature', fault('empty-signature')),
  'signature cut short': integrity('', fault('short-signature')),
  'one bit of the signature flipped': integrity('does not verify', fault('flipped-bit')),
  'one bit flipped, with a CRC that fits': undefined,
  'signature of the other key': integrity('does not verify', fault('other-key')),
  'signature of the other key, by its name': undefined,
  'signature of another version': integrity('does not verify', fault('other-version-unnamed')),
  'signature of another version, by its name': integrity(
    'answered for another key or version',
    fault('other-version'),
  ),
  'right signature under another name': integrity('another key or version', fault('other-name')),
  'right signature without a name': signs(fault('no-name')),
  'signature without a CRC': undefined,
  'signature with a wrong CRC': undefined,
  'signature with the CRC plus 2^32': undefined,
  'CRC of the request not verified': undefined,
  'CRC of another member verified': undefined,
  'PSS that is PKCS#1': integrity('does not verify', fault('pss-is-pkcs1'), { alg: 'PS256' }),
  'ECDSA in the other encoding': integrity('', fault('der-signature')),
  'ES384 by a P-256 key': integrity('', fault('es384-by-p256'), { alg: 'ES384' }),

  'no public key': unavailable('', fault('no-key')),
  'public key that cannot be read': expected.unsupported('cannot be read', fault('not-on-curve')),
  'public key of the other key': integrity('does not verify', fault('other-public-key'), {
    calls: 2,
  }),
  'public key of another version, by its name': integrity(
    'another key or version',
    fault('other-version'),
  ),
  'public key without a name': unavailable('', fault('no-kid')),
  'public key without a version': integrity('', fault('no-version')),
  'public key without a CRC': undefined,
  'public key with a wrong CRC': undefined,
  'private key in its place': signs(fault('with-private-half'), { calls: 2 }),
  'wrong curve': expected.config('does not fit this key; use ES256', fault('every-ec-p256'), {
    alg: 'ES384',
  }),
  'RSA key of another size': undefined,
  'unknown algorithm': expected.unsupported('', fault('unknown-type')),
  '500 for a mistake of the client': unavailable(
    '500 KeyNotFound',
    (target, place) => {
      target.vault.deleteKey(target.name)
      fault('error-for-mistakes')(target, place)
    },
    retried,
  ),
  'modulus with a leading zero': signs(fault('padded-n'), { alg: 'RS256', calls: 2 }),
  'coordinate without its leading zero': signs(fault('short-coordinate'), {
    alg: 'ES512',
    calls: 2,
  }),
}
