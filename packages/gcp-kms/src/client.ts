import type { RetriedCall, RetriedCalls } from '@countersign/core/backend'
import type { WrappedInteger } from './checksum.ts'
import { type Call, describeCredentialsError, describeError, named } from './errors.ts'

/** Options of a call of the SDK. */
export interface GcpKmsCallOptions {
  readonly timeout?: number
  readonly autoPaginate?: boolean
  readonly retry?: {
    readonly backoffSettings: {
      readonly initialRetryDelayMillis: number
      readonly retryDelayMultiplier: number
      readonly maxRetryDelayMillis: number
      readonly initialRpcTimeoutMillis: number
      readonly rpcTimeoutMultiplier: number
      readonly maxRpcTimeoutMillis: number
      readonly totalTimeoutMillis: number
    }
  }
  // The SDK writes to it.
  // biome-ignore lint/suspicious/noExplicitAny: as the SDK declares it
  otherArgs?: { [name: string]: any }
}

/** `google.cloud.kms.v1.PublicKey`. */
export interface GcpKmsPublicKey {
  readonly name?: string | null
  readonly algorithm?: string | number | null
  readonly protectionLevel?: string | number | null
  readonly pem?: string | null
  readonly pemCrc32c?: WrappedInteger | null
  readonly publicKey?: {
    readonly data?: Uint8Array | string | null
    readonly crc32cChecksum?: WrappedInteger | null
  } | null
}

/** `google.cloud.kms.v1.AsymmetricSignResponse`. */
export interface GcpKmsSignature {
  readonly name?: string | null
  readonly signature?: Uint8Array | string | null
  readonly signatureCrc32c?: WrappedInteger | null
  readonly verifiedDigestCrc32c?: boolean | null
  readonly verifiedDataCrc32c?: boolean | null
}

/** `google.cloud.kms.v1.CryptoKeyVersion`. */
export interface GcpKmsVersion {
  readonly name?: string | null
  readonly state?: string | number | null
}

/**
 * The part of a `KeyManagementServiceClient` of `@google-cloud/kms`, 5.x or 6.x, that is used.
 *
 * @see [KeyManagementServiceClient](https://cloud.google.com/nodejs/docs/reference/kms/latest/kms/v1.keymanagementserviceclient)
 */
export interface GcpKmsClient {
  initialize(): Promise<unknown>
  getPublicKey(
    request: { name: string; publicKeyFormat?: 'NIST_PQC' },
    options: GcpKmsCallOptions,
  ): Promise<readonly [GcpKmsPublicKey, ...unknown[]]>
  asymmetricSign(
    request: {
      name: string
      digest?: { sha256?: Uint8Array; sha384?: Uint8Array; sha512?: Uint8Array }
      digestCrc32c?: { value: string }
      data?: Uint8Array
      dataCrc32c?: { value: string }
    },
    options: GcpKmsCallOptions,
  ): Promise<readonly [GcpKmsSignature, ...unknown[]]>
  listCryptoKeyVersions(
    request: { parent: string; pageToken?: string | null },
    options: GcpKmsCallOptions,
  ): Promise<readonly [readonly GcpKmsVersion[], unknown, ...unknown[]]>
}

/** Makes calls with a deadline and a signal, and rejects with a {@link SignerError}. */
export interface Service {
  call<T>(
    call: Call,
    signal: AbortSignal,
    invoke: (client: GcpKmsClient, options: GcpKmsCallOptions) => Promise<T>,
  ): Promise<T>
}

/**
 * Initializes the client, which loads its credentials, and returns a service that makes its calls.
 *
 * The client's methods initialize it as well, but a failure there leaves an unhandled rejection, which ends the
 * process.
 */
export async function openService(client: GcpKmsClient, calls: RetriedCalls): Promise<Service> {
  try {
    await client.initialize()
  } catch (error) {
    throw named(error, describeCredentialsError, 'get its credentials')
  }
  return {
    async call(call, signal, invoke) {
      try {
        return await calls.run(signal, (retried) => invoke(client, callOptions(retried)))
      } catch (error) {
        throw named(error, (thrown) => describeError(thrown, call), 'make a request')
      }
    },
  }
}

/** A running call, as a gRPC interceptor sees it. */
interface Attempt {
  start(metadata: unknown, listener: Listener): void
  cancelWithStatus(code: number, details: string): void
}

interface Listener {
  onReceiveStatus(status: Status): void
}

interface Status {
  readonly code: number
  readonly details: string
}

const cancelled = 1
const unavailable = 14
/** The status of a call whose deadline passed, on the client or on the service. */
const deadlineExceeded = 4

/**
 * Makes the options that limit one call of the SDK, including all its attempts, by a timeout and a signal.
 *
 * The SDK's calls take no signal. With `timeout` alone, calls of one client that start in the same turn share the
 * timeout that was set last. So each call has its own retry settings, and a gRPC interceptor that cancels it.
 *
 * @param call - gets each failed attempt, except for attempts that exceeded their deadline.
 *
 * @see [gRPC interceptors, L5](https://github.com/grpc/proposal/blob/master/L5-node-client-interceptors.md)
 */
function callOptions({ signal, milliseconds, failed }: RetriedCall): GcpKmsCallOptions {
  let isRest = true
  let deadline: unknown

  function intercept<Options>(options: Options, next: (options: Options) => Attempt): Attempt {
    isRest = false
    const attempt = next(options)
    const cancel = () => attempt.cancelWithStatus(cancelled, 'The signer cancelled the call')
    if (signal.aborted) cancel()
    else signal.addEventListener('abort', cancel, { once: true })
    const start = attempt.start.bind(attempt)
    attempt.start = (metadata, listener) =>
      start(metadata, {
        ...listener,
        onReceiveStatus(status) {
          signal.removeEventListener('abort', cancel)
          const { code, details } = status
          if (code !== 0 && code !== deadlineExceeded) {
            failed(Object.assign(new Error(`${code} ${details}`), { code, details }))
          }
          listener.onReceiveStatus(status)
        },
      })
    return attempt
  }

  return {
    timeout: milliseconds,
    retry: {
      // The SDK's defaults, with shorter limits: no timer may outlive the call for long.
      backoffSettings: {
        initialRetryDelayMillis: 100,
        retryDelayMultiplier: 1.3,
        maxRetryDelayMillis: 1000,
        initialRpcTimeoutMillis: milliseconds,
        rpcTimeoutMultiplier: 1,
        maxRpcTimeoutMillis: milliseconds,
        totalTimeoutMillis: milliseconds,
      },
    },
    otherArgs: {
      options: {
        interceptors: [intercept],
        // The SDK sets it for each attempt. Over REST, which has no interceptors, nothing else shows a retry.
        set deadline(next: unknown) {
          if (isRest && deadline !== undefined) failed(repeated())
          deadline = next
        },
        get deadline() {
          return deadline
        },
      },
    },
  }
}

/** Represents a failed attempt over REST, whose error the SDK does not expose. It retries only UNAVAILABLE. */
function repeated(): Error {
  return Object.assign(new Error('The SDK was repeating the request'), { code: unavailable })
}
