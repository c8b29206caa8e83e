import type { ClosableSigner, JwsAlgorithm, SignerError } from '@countersign/core'
import {
  chooseAlgorithm,
  type LoadedKey,
  type LoadSignerOptions,
  loadSigner,
  ownOptions,
  retriedCalls,
} from '@countersign/core/backend'
import { algorithmsOf, signingAlgorithm } from './algorithms.ts'
import { type KmsClient, loadSdk } from './client.ts'
import { backend, describeError, refusal } from './errors.ts'
import { chooseRegion, readKeyId } from './key-id.ts'

/** Options of {@link awsKmsSigner}. */
export interface AwsKmsSignerOptions extends LoadSignerOptions {
  /** Which key: key ID, key ARN, alias name (`alias/NAME`) or alias ARN. */
  readonly keyId: string
  /** A `KMSClient` with the caller's own credentials, endpoint, proxy and retries; by default one is created. */
  readonly client?: KmsClient | undefined
  /** The region of the key, if neither its ARN nor the environment names it. Not with `client`, which has a region. */
  readonly region?: string | undefined
}

/** The longest message, in octets, that KMS signs without a digest. */
const longestMessage = 4096

/**
 * Makes a signer over an asymmetric key in AWS KMS.
 *
 * The key is read once, by `kms:GetPublicKey`, and pinned by its ARN: an alias that moves later does not change the
 * signer. Each signature is one call of `kms:Sign`, which the SDK retries as it is configured. The digest is computed here,
 * so inputs of any length can be signed; Ed25519 and ML-DSA sign the message itself, of 1 to 4096 octets.
 *
 * @param options - the key, and a client if the SDK's defaults do not fit.
 * @returns a frozen signer that has signed once; `close()` closes the client that was created for it.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when the options do not fit each other or the key;
 *   `ERR_SIGNER_KEY_NOT_FOUND`, `ERR_SIGNER_KEY_DISABLED` and `ERR_SIGNER_KEY_UNSUPPORTED` by what the key is;
 *   `ERR_SIGNER_ACCESS_DENIED` with the permission that is missing; `ERR_SIGNER_THROTTLED`,
 *   `ERR_SIGNER_UNAVAILABLE` and `ERR_SIGNER_TIMEOUT` when KMS does not answer as it should;
 *   `ERR_SIGNER_INTEGRITY` when the answer is of another key. `signal.reason` when aborted.
 * @throws `TypeError` when an option is not of its type.
 *
 * @example
 * ```ts
 * import { awsKmsSigner } from '@countersign/aws-kms'
 *
 * const signer = await awsKmsSigner({ keyId: 'alias/billing-agent', region: 'eu-west-1' })
 * console.log(signer.alg, signer.kid)
 * ```
 *
 * @see [AWS KMS, Sign](https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html)
 */
export async function awsKmsSigner(options: AwsKmsSignerOptions): Promise<ClosableSigner> {
  const { keyId, client, region: asked, ...rest } = ownOptions(options)
  const settings = ownOptions(rest)
  if (typeof keyId !== 'string') throw new TypeError('"keyId" must be a string')
  if (client !== undefined && typeof client?.send !== 'function')
    throw new TypeError('"client" must be a KMSClient')
  if (client !== undefined && asked !== undefined)
    throw new TypeError('"region" cannot be combined with "client", which has its own region')
  const id = readKeyId(keyId)
  const region = chooseRegion(id, asked)
  const calls = retriedCalls(settings.timeoutSeconds)
  const open = await loadSdk(calls)

  async function read(
    signal: AbortSignal,
    onClose: (release: () => unknown) => void,
  ): Promise<LoadedKey> {
    const kms = open({ client, region })
    onClose(kms.close)
    const key = await kms.getPublicKey(keyId, signal)
    const { KeyId: arn = '', PublicKey: publicKey } = key
    if (!id.fits(arn)) throw foreign('answered for another key than "keyId"')
    if (publicKey === undefined) throw foreign('answered without a public key')
    const alg = chooseAlgorithm(settings.alg, algorithmsOf(key), backend)
    return {
      alg,
      publicKey,
      signatureFormat: 'der',
      async sign({ digest, message, signal }) {
        const input = {
          KeyId: arn,
          SigningAlgorithm: signingAlgorithm(alg),
          MessageType: digest === undefined ? ('RAW' as const) : ('DIGEST' as const),
          Message: digest ?? requireShort(message, alg),
        }
        const answer = await kms.sign(input, signal)
        if (answer.KeyId !== arn) {
          throw foreign('signed with another key than the one that was loaded')
        }
        return answer.Signature ?? none
      },
    }
  }

  const signer = await loadSigner({ name: backend, describeError }, read, settings)
  calls.loaded()
  return signer
}

const none = new Uint8Array()

function requireShort(message: Uint8Array, alg: JwsAlgorithm): Uint8Array {
  if (message.byteLength >= 1 && message.byteLength <= longestMessage) return message
  throw refusal(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    `AWS KMS signs 1 to ${longestMessage} octets as ${alg}, and this input has ${message.byteLength}; use a key of ECC_NIST_P256 or RSA, whose inputs can be of any length`,
  )
}

function foreign(what: string): SignerError {
  return refusal('ERR_SIGNER_INTEGRITY', `AWS KMS ${what}; the answer was discarded`)
}
