import type { WrappedInteger } from './checksum.ts'

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
