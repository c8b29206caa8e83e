import type { KMSClient } from '@aws-sdk/client-kms'
import type { ClosableSigner, JwsAlgorithm, SignerError } from '@countersign/core'
import {
  chooseAlgorithm,
  importPeer,
  type LoadedKey,
  loadSigner,
  ownOptions,
  type RetriedCall,
  retriedCalls,
} from '@countersign/core/backend'
import { algorithmsOf, signingAlgorithm } from './algorithms.ts'
import { backend, describeError, notKms, refusal, scrub } from './failure.ts'
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
  const { keyId, client: given, region: wanted, ...rest } = ownOptions(options)
  const settings = ownOptions(rest)
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

  const calls = retriedCalls(settings.timeoutSeconds)
  let own: KMSClient | undefined

  async function read(signal: AbortSignal): Promise<LoadedKey> {
    if (given === undefined) own = new KMSClient(region === undefined ? {} : { region })
    const client = (given ?? own) as SdkClient
    const key = await answerOf(
      calls.run(signal, (call) => {
        const command = reporting(new GetPublicKeyCommand({ KeyId: keyId }), call)
        return client.send(command, { abortSignal: call.signal })
      }),
    )
    const { KeyId: arn = '', PublicKey: publicKey } = key
    if (!name.fits(arn)) throw foreign('answered for another key than "keyId"')
    if (publicKey === undefined) throw foreign('answered without a public key')
    const alg = chooseAlgorithm(settings.alg, algorithmsOf(key), backend)
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
        const answer = await answerOf(
          calls.run(signal, (call) =>
            client.send(reporting(command, call), { abortSignal: call.signal }),
          ),
        )
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
    const signer = await loadSigner({ name: backend, describeError }, read, settings)
    calls.loaded()
    return signer
  } catch (error) {
    close()
    throw error
  }
}

type SdkClient = Pick<KMSClient, 'send'>

/** The part of a command of the SDK that middleware is added to. */
interface Command {
  readonly middlewareStack: {
    add(
      middleware: (next: Next) => Next,
      options: { readonly step: 'deserialize'; readonly priority: 'high'; readonly name: string },
    ): void
  }
}

// biome-ignore lint/suspicious/noExplicitAny: what it takes and gives is the SDK's
type Next = (parameters: any) => Promise<any>

/** Makes a command report each failed attempt; the SDK retries outside of the step that this is added to. */
function reporting<C extends Command>(command: C, call: RetriedCall): C {
  const report =
    (next: Next): Next =>
    async (parameters) => {
      try {
        return await next(parameters)
      } catch (error) {
        call.failed(error)
        throw error
      }
    }
  command.middlewareStack.add(report, {
    step: 'deserialize',
    priority: 'high',
    name: 'countersignAttempts',
  })
  return command
}

/** An answer of the SDK. One without a body, which KMS never sends, looks to the SDK like one without members. */
async function answerOf<T extends object>(sent: Promise<T>): Promise<T> {
  try {
    const answer = await sent
    const { $metadata } = answer as { readonly $metadata?: { readonly httpStatusCode?: unknown } }
    if ($metadata?.httpStatusCode === 204) throw notKms(204)
    return answer
  } catch (error) {
    scrub(error)
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
