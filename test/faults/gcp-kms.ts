import type { VersionState } from '../servers/gcp-kms/key-store.js'
import type { GcpKms } from '../servers/gcp-kms.js'
import { type Expectation, expectations, type FaultTable } from './expectation.ts'

/** Where the faults of this service are injected. */
export interface GcpKmsTarget {
  readonly kms: GcpKms
  /** Name of the key. */
  readonly key: string
  /** Name of the enabled version; the key has a second version, which is disabled. */
  readonly version: string
}

const expected = expectations<GcpKmsTarget>(1)
const { denied, disabled, integrity, signs, unavailable } = expected

const fault =
  (name: string): Expectation<GcpKmsTarget>['inject'] =>
  ({ kms }, { on, times }) =>
    kms.fail(name, {
      method: on === 'key' ? 'GetPublicKey' : 'AsymmetricSign',
      ...(times === undefined ? {} : { times }),
    })

const inState = (state: VersionState): Expectation<GcpKmsTarget> =>
  disabled(`is ${state}; enable it, or use another version`, ({ kms, version }) =>
    kms.setState(version, state),
  )

/** For a failure that the SDK retries until the deadline. */
const again = { calls: 'many', ends: 'at the deadline' } as const
const later = 'try again later'

export const gcpKms: FaultTable<GcpKmsTarget> = {
  'too many requests': expected.throttled('quota', fault('throttle')),
  'internal error (500)': unavailable(later, fault('internal')),
  'unavailable (503)': unavailable(later, fault('unavailable'), again),
  'unavailable, without a body': undefined,
  'a dependency of the service times out': expected.timeout(fault('deadline-exceeded'), again),
  'key temporarily unavailable': undefined,
  'connection reset before the answer': unavailable('network and proxy', fault('cut'), again),
  'connection reset within the answer': unavailable('network and proxy', fault('cut-short'), again),
  'HTML with an error status': unavailable('proxy', fault('html'), {
    calls: 0,
    ends: 'at the deadline',
  }),
  'HTML with status 200': undefined,
  'HTML with a JSON content type': undefined,
  'no JSON': undefined,
  redirect: undefined,
  'no answer': expected.timeout(fault('hang')),
  'no answer, then an abort': expected.aborted(fault('hang')),
  // Over REST only; the matrix is about gRPC.
  'no content (204)': undefined,
  'conflict (409)': undefined,
  'gone (410)': undefined,
  'unknown failure': expected.unknown('the cause says why', fault('surprise')),
  'gRPC status UNKNOWN': unavailable(later, fault('unknown')),
  'gRPC status ABORTED': unavailable(later, fault('aborted')),
  'gRPC status CANCELLED': unavailable(later, fault('cancelled')),
  'gRPC status DATA_LOSS': unavailable(later, fault('data-loss')),
  'gRPC status ALREADY_EXISTS': expected.unknown('does not document', fault('already-exists')),
  'gRPC status OUT_OF_RANGE': expected.unknown('does not document', fault('out-of-range')),
  'gRPC status INVALID_ARGUMENT': expected.config('check the name', fault('invalid-argument')),
  'gRPC status UNIMPLEMENTED': expected.config('check the endpoint', fault('unimplemented')),
  'request damaged on the way': integrity(
    'other octets than were sent',
    fault('damaged-on-the-way'),
  ),

  'no permission to read the public key': denied(
    'denies cloudkms.cryptoKeyVersions.viewPublicKey on projects/',
    fault('denied'),
  ),
  'no permission to sign': denied(
    'denies cloudkms.cryptoKeyVersions.useToSign on projects/',
    fault('denied'),
  ),
  'no permission to list versions': denied(
    'denies cloudkms.cryptoKeyVersions.list on projects/',
    ({ kms }) => kms.fail('denied', { method: 'ListCryptoKeyVersions' }),
    { byAlias: true },
  ),
  'no permission, without saying which': undefined,
  'no permission to assume the role': undefined,
  'not admitted by the network rules': undefined,
  'API not enabled': denied('gcloud services enable cloudkms', fault('api-disabled')),
  'credentials not accepted': denied('does not accept the access token', fault('unauthenticated')),
  'credentials expired': undefined,
  'secret access key is wrong': undefined,

  'key disabled': inState('DISABLED'),
  'key pending deletion': inState('DESTROY_SCHEDULED'),
  'key destroyed': inState('DESTROYED'),
  'key without its material': inState('PENDING_GENERATION'),
  'key store disconnected': undefined,
  'external key manager refuses': expected.unknown('external key manager', fault('external-key')),
  'external key manager denies access': denied(
    'external key manager',
    fault('external-permission'),
  ),
  'key expired': undefined,
  'key not yet valid': undefined,
  'key not for signing': undefined,
  'key gone': expected.notFound(
    'check project, location, key ring, key and version',
    ({ kms, key }) => kms.removeKey(key),
  ),
  'key replaced under its name': integrity('does not verify', ({ kms, version }) => {
    const stored = kms.version(version)
    stored.privateKey = stored.otherKey
  }),
  'alias moved to another key': undefined,
  'version added': signs(({ kms, key }) => void kms.createVersion(key, { nth: 1 }), {
    byAlias: true,
  }),

  'empty answer': undefined,
  'no signature': integrity('returned no signature', fault('no-signature')),
  'empty signature': undefined,
  'signature cut short': integrity('not canonical', fault('short-signature')),
  'one bit of the signature flipped': integrity('that of another one', fault('flip-bit')),
  'one bit flipped, with a CRC that fits': integrity(
    /does not verify|not canonical/,
    fault('flip-bit-consistently'),
  ),
  'signature of the other key': integrity('does not verify', fault('other-key')),
  'signature of the other key, by its name': undefined,
  'signature of another version': integrity('does not verify', fault('signed-by-next-version')),
  'signature of another version, by its name': integrity('answered for another version', (s, p) => {
    s.kms.setState(`${s.key}/cryptoKeyVersions/2`, 'ENABLED')
    fault('answer-for-other-version')(s, p)
  }),
  'right signature under another name': integrity(
    'answered for another version',
    fault('other-name'),
  ),
  'right signature without a name': integrity('answered for another version', fault('no-name')),
  'signature without a CRC': integrity('without its checksum', fault('no-crc')),
  'signature with a wrong CRC': integrity('that of another one', fault('wrong-crc')),
  'signature with the CRC plus 2^32': integrity('that of another one', fault('huge-crc')),
  'CRC of the request not verified': integrity('did not verify the checksum', fault('unverified')),
  'CRC of another member verified': integrity(
    'did not verify the checksum',
    fault('wrong-one-verified'),
  ),
  'PSS that is PKCS#1': integrity('does not verify', fault('pkcs1-for-pss'), { alg: 'PS256' }),
  'ECDSA in the other encoding': integrity('not canonical', fault('raw-signature')),
  'ES384 by a P-256 key': integrity('does not verify', fault('signed-by-p256'), { alg: 'ES384' }),

  'no public key': integrity('returned no public key', fault('no-key')),
  'public key that cannot be read': expected.unsupported('cannot be read', fault('garbage-pem')),
  'public key of the other key': integrity('does not verify', fault('other-public-key'), {
    calls: 2,
  }),
  'public key of another version, by its name': integrity(
    'another version',
    fault('key-of-other-version'),
  ),
  'public key without a name': integrity('another version', fault('no-key-name')),
  'public key without a version': undefined,
  'public key without a CRC': integrity('without its checksum', fault('no-key-crc')),
  'public key with a wrong CRC': integrity('that of another one', fault('wrong-key-crc')),
  'private key in its place': integrity('something else than a public key', fault('private-pem')),
  'wrong curve': integrity('ec prime256v1', fault('always-p256'), { alg: 'ES384' }),
  'RSA key of another size': integrity('rsa 2048', fault('small-rsa'), { alg: 'RS256' }),
  'unknown algorithm': expected.unsupported('makes no JWS signature', fault('unknown-algorithm')),
  '500 for a mistake of the client': undefined,
  'modulus with a leading zero': undefined,
  'coordinate without its leading zero': undefined,
}
