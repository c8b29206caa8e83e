import type { RetriedCall, RetriedCalls } from '@countersign/core/backend'
import type { WrappedInteger } from './checksum.ts'
import { type Call, describeCredentialsError, describeError, named } from './errors.ts'

/** What a call of the SDK is told besides its request. */
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
 * What is used of a `KeyManagementServiceClient` of `@google-cloud/kms`, 5.x and 6.x.
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

/** A client's calls, each bounded by a deadline and a signal, with failures as {@link SignerError}. */
export interface Service {
  call<T>(
    call: Call,
    signal: AbortSignal,
    invoke: (client: GcpKmsClient, options: GcpKmsCallOptions) => Promise<T>,
  ): Promise<T>
}

/**
 * Gets the client its credentials, and makes its calls.
 *
 * The client's methods would get them by themselves; but when that fails, the SDK leaves a rejected promise behind that
 * nobody handles, which ends the process.
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

/** A call under way, as interceptors of gRPC see it. */
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
/** Of a call that was late, by the client's clock or by the service's. */
const deadlineExceeded = 4

/**
 * Makes the options that bound one call of the SDK, all of its attempts included, by a time and a signal.
 *
 * The SDK's calls take no signal, and with `timeout` alone they share the one that was set last among the calls of a
 * client that begin together; so each brings settings of its own, and a gRPC interceptor that cancels.
 *
 * @param call - told of each failed attempt that was not just late.
 *
 * @see [gRPC interceptors, L5](https://github.com/grpc/proposal/blob/master/L5-node-client-interceptors.md)
 */
function callOptions({ signal, milliseconds, failed }: RetriedCall): GcpKmsCallOptions {
  let isRest = true
  let deadline: unknown

  function intercept<Options>(options: Options, next: (options: Options) => Attempt): Attempt {
    isRest = false
    const attempt = next(options)
    const cancel = () => attempt.cancelWithStatus(cancelled, 'The signer gave up')
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
      // The SDK's own, but for the bounds: nothing may be left asleep for long when the signer has given up.
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
        // Set by the SDK for each attempt. Over REST, where it takes no interceptors, nothing else tells of a retry.
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

/** Stands for the failure of an attempt over REST, which the SDK keeps to itself. It repeats what is unavailable. */
function repeated(): Error {
  return Object.assign(new Error('The SDK was repeating the request'), { code: unavailable })
}
