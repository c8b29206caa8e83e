import type { KeyClientOptions } from '@azure/keyvault-keys'
import { importPeer, type RetriedCall, type RetriedCalls } from '@countersign/core/backend'
import { type Answer, backend, named, notKeyVault, type Permission } from './errors.ts'
import { format, type KeyId, type PinnedKeyId } from './key-id.ts'

/** A credential of `@azure/identity`, or whatever else gives access tokens for a scope. */
export interface TokenCredential {
  getToken(
    scopes: string | string[],
    options?: object,
  ): Promise<{ token: string; expiresOnTimestamp: number } | null>
}

/** The call that an attempt belongs to, by the signal that the call was given. */
const callOf = new WeakMap<object, RetriedCall>()

/** The part of a request of the SDK's HTTP pipeline that is read. */
interface PipelineRequest {
  readonly abortSignal?: object
}

/**
 * Makes the options of a call.
 *
 * @param call - told of each failed attempt by clients that {@link connect} made; other clients report nothing before
 *   their last attempt.
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

/** Whether the SDK repeats a request that was answered with this status. */
function isRepeated(status: number): boolean {
  return status === 408 || status === 429 || status >= 500
}

/** Options of each call to the service. */
export interface CallOptions {
  abortSignal?: AbortSignal
  onResponse?: (answer: Answer) => void
}

/** What is read of a `KeyVaultKey`. */
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

/** What is used of a `CryptographyClient`. */
export interface Signing {
  sign(
    algorithm: string,
    digest: Uint8Array,
    options?: CallOptions,
  ): Promise<{ readonly result: Uint8Array }>
}

/** What is used of a `KeyClient` of `@azure/keyvault-keys`, of any 4.x that has it. */
export interface AzureKeyClient {
  readonly vaultUrl: string
  getKey(name: string, options?: CallOptions & { version?: string }): Promise<FetchedKey>
  getCryptographyClient(name: string, options?: { keyVersion?: string }): Signing
}

/** A key that was fetched, and the way to sign with one version of it. */
interface Fetched {
  readonly key: FetchedKey
  signWith(id: PinnedKeyId): Signing
}

/** Fetches a key. */
export type Fetch = (id: KeyId, options: CallOptions) => Promise<Fetched>

const byVersion = ({ version }: KeyId) => (version === undefined ? {} : { version })

/** Fetches by the caller's client. The SDK then reads the key once more, before the first signature. */
export function fetchBy(client: AzureKeyClient): Fetch {
  return async (id, options) => ({
    key: await client.getKey(id.name, { ...options, ...byVersion(id) }),
    signWith: ({ name, version }) => client.getCryptographyClient(name, { keyVersion: version }),
  })
}

/** Fetches by clients of our own, of which the second is given the key and has no need to read it. */
export async function connect(
  { vaultUrl }: KeyId,
  credential: TokenCredential,
  clientOptions: KeyClientOptions,
): Promise<Fetch> {
  const { CryptographyClient, KeyClient } = await importPeer(
    '@azure/keyvault-keys',
    () => import('@azure/keyvault-keys'),
    backend,
  )
  // Made for each client, since the SDK writes into the options that it is given.
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

/** What a call came to. */
interface Called<T> {
  readonly result: T
  /** The key that the service says it used. The SDK's own `keyID` only says which one it was asked for. */
  readonly kid: string | undefined
}

/**
 * Makes a call by the SDK and names its failures.
 *
 * The response is looked at, too: of an error without a body, and of a page instead of JSON, the SDK makes a `TypeError`
 * or a result without members.
 *
 * @param permission - what the call needs.
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
