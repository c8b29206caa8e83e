import type { KMSClient } from '@aws-sdk/client-kms'
import type { ClosableSigner, JwsAlgorithm, SignerError } from '@countersign/core'
import { chooseAlgorithm, importPeer, type LoadedKey, loadSigner } from '@countersign/core/backend'
import { algorithmsOf, signingAlgorithm } from './algorithms.ts'
import { backend, describeError, forgetRequest, refusal } from './failure.ts'
import { chooseRegion, readKeyName } from './key-name.ts'

/**
 * What is used of a `KMSClient` of the AWS SDK. One of any 3.x release fits; it is sent commands of the release that is
 * installed beside this package, and so has to be of that.
 */
export interface KmsClient {
  send(command: never, options?: { readonly abortSignal?: AbortSignal }): Promise<object>
}

/** Options of {@link awsKmsSigner}. */
export interface AwsKmsSignerOptions {
  /** Which key: key ID, key ARN, alias name (`alias/NAME`) or alias ARN. */
  readonly keyId: string
  /** The algorithm; by default the key's only one, RS256 for RSA and EdDSA for Ed25519. */
  readonly alg?: JwsAlgorithm | undefined
  /** Key ID to publish; by default the RFC 7638 thumbprint. */
  readonly kid?: string | undefined
  /** A `KMSClient` with the caller's own credentials, endpoint, proxy and retries; by default one is made. */
  readonly client?: KmsClient | undefined
  /** Where the key is, when neither its ARN nor the environment says so; not beside `client`, which has its own. */
  readonly region?: string | undefined
  /** Bound on one signature, the SDK's own retries included; 10 by default. */
  readonly timeoutSeconds?: number | undefined
  /** Whether each signature is verified before it is handed out; `true` by default. */
  readonly verify?: boolean | undefined
  /** Gives up loading the key; the promise then rejects with `signal.reason` as it is. */
  readonly signal?: AbortSignal | undefined
}

/** The most octets that KMS takes as a message and not as a digest. */
const longestMessage = 4096

/**
 * Makes a signer over an asymmetric key in AWS KMS.
 *
 * The key is read once, by `kms:GetPublicKey`, and pinned by its ARN: an alias that moves later does not change the
 * signer. Each signature is one call of `kms:Sign`, which the SDK repeats as it is set up to. Digests are made here,
 * so that inputs of any length can be signed; Ed25519 and ML-DSA take the message itself, of 1 to 4096 octets.
 *
 * @param options - key, and a client where the SDK's own defaults do not do.
 * @returns a frozen signer that has signed once; `close()` closes the client that was made for it.
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
  const { keyId, alg: asked, client: given, region: wanted, ...settings } = options
  if (typeof keyId !== 'string') throw new TypeError('"keyId" must be a string')
  if (given !== undefined && typeof given?.send !== 'function')
    throw new TypeError('"client" must be a KMSClient')
  if (given !== undefined && wanted !== undefined)
    throw new TypeError('"region" is for a client that is made here, and "client" was given')
  const name = readKeyName(keyId)
  const region = chooseRegion(name, wanted)
  const { KMSClient, GetPublicKeyCommand, SignCommand } = await importPeer(
    '@aws-sdk/client-kms',
    () => import('@aws-sdk/client-kms'),
    backend,
  )

  let own: KMSClient | undefined

  async function read(signal: AbortSignal): Promise<LoadedKey> {
    if (given === undefined) own = new KMSClient(region === undefined ? {} : { region })
    const client = (given ?? own) as SdkClient
    const key = await answerOf(
      client.send(new GetPublicKeyCommand({ KeyId: keyId }), { abortSignal: signal }),
    )
    const { KeyId: arn = '', PublicKey: publicKey } = key
    if (!name.fits(arn)) throw foreign('answered for another key than "keyId"')
    if (publicKey === undefined) throw foreign('answered without a public key')
    const alg = chooseAlgorithm(asked, algorithmsOf(key), backend)
    return {
      alg,
      publicKey,
      signatureFormat: 'der',
      async sign({ digest, message, signal }) {
        const input = digest ?? requireShort(message, alg)
        const command = new SignCommand({
          KeyId: arn,
          SigningAlgorithm: signingAlgorithm(alg),
          MessageType: digest === undefined ? 'RAW' : 'DIGEST',
          Message: input,
        })
        const answer = await answerOf(client.send(command, { abortSignal: signal }))
        if (answer.KeyId !== arn) {
          throw foreign('signed with another key than the one that was loaded')
        }
        return answer.Signature ?? none
      },
      close,
    }
  }

  function close(): void {
    own?.destroy()
  }

  try {
    return await loadSigner({ name: backend, describeError }, read, { ...settings, alg: asked })
  } catch (error) {
    close()
    throw error
  }
}

type SdkClient = Pick<KMSClient, 'send'>

async function answerOf<T>(sent: Promise<T>): Promise<T> {
  try {
    return await sent
  } catch (error) {
    forgetRequest(error)
    throw error
  }
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
  return refusal('ERR_SIGNER_INTEGRITY', `AWS KMS ${what}; nothing of it was used`)
}
