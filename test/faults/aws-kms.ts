import type { AwsKms, FaultName, KmsKey } from '../servers/aws-kms.js'
import { type Expectation, expectations, type FaultTable } from './expectation.ts'

/** Where the faults of this service are injected. */
export interface AwsKmsTarget {
  readonly kms: AwsKms
  readonly key: KmsKey
  /** Another key of the same kind. */
  readonly other: KmsKey
  /** An alias of `key`. */
  readonly alias: string
}

const expected = expectations<AwsKmsTarget>(3)
const { denied, disabled, integrity, retried, signs, unavailable } = expected

const fault =
  (name: FaultName): Expectation<AwsKmsTarget>['inject'] =>
  ({ kms }, { on, times }) =>
    kms.fail(name, {
      operation: on === 'key' ? 'GetPublicKey' : 'Sign',
      ...(times === undefined ? {} : { times }),
    })

const disconnected = /state of the KMS key forbids its use: .* its key store is disconnected/

export const awsKms: FaultTable<AwsKmsTarget> = {
  'too many requests': expected.throttled('sign less often', fault('throttle'), retried),
  'internal error (500)': unavailable('AWS KMS is failing', fault('internal error'), retried),
  'unavailable (503)': unavailable('AWS KMS is failing', fault('unavailable'), retried),
  'unavailable, without a body': unavailable('AWS KMS is failing', fault('server error'), retried),
  'a dependency of the service times out': unavailable(
    'AWS KMS is failing',
    fault('dependency timeout'),
    retried,
  ),
  'key temporarily unavailable': unavailable(
    'AWS KMS is failing',
    fault('key unavailable'),
    retried,
  ),
  'connection reset before the answer': unavailable('(ECONNRESET)', fault('cut'), retried),
  'connection reset within the answer': unavailable(
    '(ECONNRESET)',
    fault('cut in the body'),
    retried,
  ),
  'HTML with an error status': unavailable(/response is not from AWS KMS/, fault('html'), retried),
  'HTML with status 200': unavailable(
    /response is not from AWS KMS/,
    fault('a page that signs in'),
  ),
  'HTML with a JSON content type': unavailable(
    /response is not from AWS KMS/,
    fault('a page as JSON'),
  ),
  'no JSON': unavailable(/response is not from AWS KMS/, fault('no JSON')),
  redirect: unavailable(/response is not from AWS KMS/, fault('redirect')),
  'no answer': expected.timeout(fault('hang')),
  'no answer, then an abort': expected.aborted(fault('hang')),
  'no content (204)': unavailable('not from AWS KMS (HTTP status 204)', fault('no content')),
  'conflict (409)': unavailable('Another change to this KMS key', fault('conflict')),
  'gone (410)': unavailable('not from AWS KMS (HTTP status 410)', fault('gone')),
  'unknown failure': expected.unknown('the cause says why', fault('unknown failure')),
  'gRPC status UNKNOWN': undefined,
  'gRPC status ABORTED': undefined,
  'gRPC status CANCELLED': undefined,
  'gRPC status DATA_LOSS': undefined,
  'gRPC status ALREADY_EXISTS': undefined,
  'gRPC status OUT_OF_RANGE': undefined,
  'gRPC status INVALID_ARGUMENT': undefined,
  'gRPC status UNIMPLEMENTED': undefined,
  'request damaged on the way': undefined,

  'no permission to read the public key': denied('need kms:GetPublicKey on it', ({ kms }) =>
    kms.deny('GetPublicKey'),
  ),
  'no permission to sign': denied('need kms:Sign on it', ({ kms }) => kms.deny('Sign')),
  'no permission to list versions': undefined,
  'no permission, without saying which': denied(
    'need kms:GetPublicKey and kms:Sign on it',
    fault('access denied'),
  ),
  'no permission to assume the role': denied('AWS denies sts:AssumeRole', fault('role denied')),
  'not admitted by the network rules': undefined,
  'API not enabled': undefined,
  'credentials not accepted': denied(
    'check access key and session token',
    fault('unknown access key'),
  ),
  'credentials expired': denied('credentials have expired; renew them', fault('expired token')),
  'secret access key is wrong': denied('check secret access key', fault('wrong secret')),

  'key disabled': disabled('is disabled; enable it', ({ kms, key }) => kms.disableKey(key)),
  'key pending deletion': disabled('pending deletion', ({ kms, key }) =>
    kms.scheduleKeyDeletion(key),
  ),
  'key destroyed': undefined,
  'key without its material': disabled('waits for its key material', ({ key }) => {
    key.state = 'PendingImport'
  }),
  'key store disconnected': disabled(disconnected, ({ key }) => {
    key.state = 'Unavailable'
  }),
  'external key manager refuses': undefined,
  'external key manager denies access': undefined,
  'key expired': undefined,
  'key not yet valid': undefined,
  'key not for signing': expected.unsupported('SIGN_VERIFY', ({ key }) => {
    key.keyUsage = 'KEY_AGREEMENT'
  }),
  'key gone': expected.notFound('check "keyId"', ({ kms, key }) => kms.deleteKey(key)),
  'key replaced under its name': integrity('does not verify', ({ key, other }) => {
    key.privateKey = other.privateKey
  }),
  'alias moved to another key': signs(({ kms, alias, other }) => void kms.setAlias(alias, other), {
    byAlias: true,
  }),
  'version added': undefined,

  'empty answer': integrity('another key', fault('empty answer')),
  'no signature': integrity('returned no signature', fault('no signature')),
  'empty signature': integrity('returned no signature', fault('empty signature')),
  'signature cut short': integrity('not canonical', fault('short signature')),
  'one bit of the signature flipped': integrity('does not verify', fault('flipped bit')),
  'one bit flipped, with a CRC that fits': undefined,
  'signature of the other key': integrity('does not verify', fault('other key')),
  'signature of the other key, by its name': integrity(
    'signed with another key',
    fault('other key, by its name'),
  ),
  'signature of another version': undefined,
  'signature of another version, by its name': undefined,
  'right signature under another name': integrity('another key', fault('other name')),
  'right signature without a name': integrity('another key', fault('no key id')),
  'signature without a CRC': undefined,
  'signature with a wrong CRC': undefined,
  'signature with the CRC plus 2^32': undefined,
  'CRC of the request not verified': undefined,
  'CRC of another member verified': undefined,
  'PSS that is PKCS#1': integrity('does not verify', fault('PKCS#1 for PSS'), { alg: 'PS256' }),
  'ECDSA in the other encoding': integrity('not canonical', fault('raw signature')),
  'ES384 by a P-256 key': integrity('does not verify', fault('P-256 signature'), {
    alg: 'ES384',
  }),

  'no public key': integrity('without a public key', fault('no public key')),
  'public key that cannot be read': expected.unsupported(
    'cannot be read',
    fault('damaged public key'),
  ),
  'public key of the other key': integrity('does not verify', fault('other public key'), {
    calls: 2,
  }),
  'public key of another version, by its name': undefined,
  'public key without a name': integrity('another key', fault('no key id')),
  'public key without a version': undefined,
  'public key without a CRC': undefined,
  'public key with a wrong CRC': undefined,
  'private key in its place': expected.unsupported('cannot be read', fault('private key')),
  'wrong curve': expected.config('ES384 needs a key of P-384', ({ key }) => {
    key.keySpec = 'ECC_NIST_P384'
    key.signingAlgorithms = ['ECDSA_SHA_384']
  }),
  'RSA key of another size': undefined,
  'unknown algorithm': expected.unsupported('makes no JWS signature', ({ key }) => {
    key.signingAlgorithms = ['UNHEARD_OF']
  }),
  '500 for a mistake of the client': undefined,
  'modulus with a leading zero': undefined,
  'coordinate without its leading zero': undefined,
}
