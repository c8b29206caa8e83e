import type { KeyClientOptions } from '@azure/keyvault-keys'
import { peerError, type RetriedCall, type RetriedCalls } from '@countersign/core/backend'
import { type Answer, backend, named, notKeyVault, type Permission } from './errors.ts'
import { format, type KeyId, type PinnedKeyId } from './key-id.ts'

/** A credential of `@azure/identity`, or another object that returns access tokens for a scope. */
export interface TokenCredential {
  getToken(
    scopes: string | string[],
    options?: object,
  ): Promise<{ token: string; expiresOnTimestamp: number } | null>
}

/** Calls by their signal, which each attempt of a call carries. */
const callOf = new WeakMap<object, RetriedCall>()

/** The part of a request of the SDK's HTTP pipeline that is read. */
interface PipelineRequest {
  readonly abortSignal?: object
}

/**
 * Makes the options of a call.
 *
 * @param call - gets each failed attempt of clients that {@link connect} created; other clients report only their last
 *   attempt.
 */
function callOptions(
  call: RetriedCall,
  onResponse: (answer: Answer) => void,
): CallOptions & { abortSignal: AbortSignal } {
  callOf.set(call.signal, call)
  return { abortSignal: call.signal, onResponse }
}

/** A policy of the SDK's HTTP pipeline that sees each attempt of a call. */
const attemptPolicy = {
  name: 'countersignAttempts',
  async sendRequest<Request extends PipelineRequest, Response extends { readonly status: number }>(
    request: Request,
    next: (request: Request) => Promise<Response>,
  ): Promise<Response> {
    const call = request.abortSignal && callOf.get(request.abortSignal)
    try {
      const response = await next(request)
      const { status } = response
      if (isRepeated(status)) {
        call?.failed(Object.assign(new Error(`HTTP status ${status}`), { statusCode: status }))
      }
      return response
    } catch (error) {
      call?.failed(error)
      throw error
    }
  },
}

/** Whether the SDK retries a request after this status. */
function isRepeated(status: number): boolean {
  return status === 408 || status === 429 || status >= 500
}

/** Options of each call to the service. */
export interface CallOptions {
  abortSignal?: AbortSignal
  onResponse?: (answer: Answer) => void
}

/** The part of a `KeyVaultKey` that is read. */
export interface FetchedKey {
  readonly id?: string
  readonly key?: {
    readonly kty?: string
    readonly crv?: string
    readonly n?: Uint8Array
    readonly e?: Uint8Array
    readonly x?: Uint8Array
    readonly y?: Uint8Array
  }
  readonly keyOperations?: readonly string[]
  readonly properties: {
    readonly enabled?: boolean
    readonly notBefore?: Date
    readonly expiresOn?: Date
  }
}

/** The part of a `CryptographyClient` that is used. */
export interface Signing {
  sign(
    algorithm: string,
    digest: Uint8Array,
    options?: CallOptions,
  ): Promise<{ readonly result: Uint8Array }>
}

/** The part of a `KeyClient` of `@azure/keyvault-keys`, 4.8.0 or later, that is used. */
export interface AzureKeyClient {
  readonly vaultUrl: string
  getKey(name: string, options?: CallOptions & { version?: string }): Promise<FetchedKey>
  getCryptographyClient(name: string, options?: { keyVersion?: string }): Signing
}

/** A key, and how to sign with one version of it. */
interface Fetched {
  readonly key: FetchedKey
  signWith(id: PinnedKeyId): Signing
}

/** Fetches a key. */
export type Fetch = (id: KeyId, options: CallOptions) => Promise<Fetched>

const byVersion = ({ version }: KeyId) => (version === undefined ? {} : { version })

/** Fetches with the caller's client. The SDK then reads the key again before the first signature. */
export function fetchBy(client: AzureKeyClient): Fetch {
  return async (id, options) => ({
    key: await client.getKey(id.name, { ...options, ...byVersion(id) }),
    signWith: ({ name, version }) => client.getCryptographyClient(name, { keyVersion: version }),
  })
}

/** Fetches with new clients. The second one gets the key, so it does not read it again. */
export async function connect(
  { vaultUrl }: KeyId,
  credential: TokenCredential,
  clientOptions: KeyClientOptions,
): Promise<Fetch> {
  const { CryptographyClient, KeyClient } = await importSdk()
  // A new object for each client, since the SDK writes into its options.
  const ownOptions = (): KeyClientOptions => ({
    ...clientOptions,
    additionalPolicies: [
      ...(clientOptions.additionalPolicies ?? []),
      { policy: attemptPolicy, position: 'perRetry' },
    ],
  })
  const client = new KeyClient(vaultUrl, credential, ownOptions())
  return async (id, options) => {
    const key = await client.getKey(id.name, { ...options, ...byVersion(id) })
    return {
      key,
      signWith: (pinned) =>
        new CryptographyClient({ ...key, id: format(pinned) }, credential, ownOptions()),
    }
  }
}

async function importSdk() {
  try {
    return await import('@azure/keyvault-keys')
  } catch (cause) {
    throw peerError('@azure/keyvault-keys', cause, backend)
  }
}

/** The result of a call. */
interface Called<T> {
  readonly result: T
  /** The key that the response names. The SDK's `keyID` is only that of the request. */
  readonly kid: string | undefined
}

/**
 * Makes a call with the SDK, and rejects with a {@link SignerError}.
 *
 * It also reads the raw response: for an error without a body, and for HTML instead of JSON, the SDK throws a `TypeError`
 * or returns a result without members.
 *
 * @param permission - the permission that the call needs.
 */
export async function call<T>(
  calls: RetriedCalls,
  permission: Permission,
  signal: AbortSignal,
  run: (options: CallOptions) => Promise<T>,
): Promise<Called<T>> {
  let answer: Answer | undefined
  const onResponse = (given: Answer) => {
    answer = given
  }
  let result: T
  try {
    result = await calls.run(signal, (call) => run(callOptions(call, onResponse)))
  } catch (error) {
    throw named(error, permission, answer)
  }
  const body: unknown = answer === undefined ? {} : (answer as Answer).parsedBody
  if (typeof body !== 'object' || body === null) throw notKeyVault()
  const { kid } = body as { readonly kid?: unknown }
  return { result, kid: typeof kid === 'string' ? kid : undefined }
}
