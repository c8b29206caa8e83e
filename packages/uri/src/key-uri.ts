import type { JwsAlgorithm } from '@countersign/core'

interface KeyUriAttributes {
  /** The algorithm that the key is to be used with; by default the key's own. */
  readonly alg?: JwsAlgorithm
  /** Key ID to publish; by default the RFC 7638 thumbprint. */
  readonly kid?: string
}

/** `file:`, a private key in a file. */
export interface FileKeyUri extends KeyUriAttributes {
  readonly scheme: 'file'
  /** Absolute path, as this operating system writes it. */
  readonly path: string
}

/** `awskms:`, a key of AWS KMS. */
export interface AwsKmsKeyUri extends KeyUriAttributes {
  readonly scheme: 'awskms'
  /** Key ID, alias (`alias/…`), or ARN of a key or an alias. */
  readonly keyId: string
  /** Absent where an ARN names it, or where the AWS SDK is to find it. */
  readonly region?: string
}

/** `gcpkms:`, a key of Google Cloud KMS. */
export interface GcpKmsKeyUri extends KeyUriAttributes {
  readonly scheme: 'gcpkms'
  /** Resource name, `projects/…/cryptoKeys/…`. */
  readonly name: string
  /** Origin of another server than `cloudkms.googleapis.com`. */
  readonly endpoint?: string
}

/** `azurekms:`, a key of Azure Key Vault or a Managed HSM. */
export interface AzureKeyVaultKeyUri extends KeyUriAttributes {
  readonly scheme: 'azurekms'
  /** Key identifier, `https://HOST/keys/NAME` or `https://HOST/keys/NAME/VERSION`. */
  readonly keyId: string
}

/** `pkcs11:`, a key on a PKCS#11 token, RFC 7512. */
export interface Pkcs11KeyUri extends KeyUriAttributes {
  readonly scheme: 'pkcs11'
  /** Absolute path of the vendor's module. */
  readonly module: string
  readonly token: {
    readonly label?: string
    readonly manufacturer?: string
    readonly serial?: string
    readonly model?: string
    readonly slot?: number
  }
  readonly key: {
    readonly label?: string
    /** In hexadecimal. */
    readonly id?: string
  }
  /** Where the PIN is, if the URI says it. */
  readonly pin?: PinSource
}

/** Where a PIN is: in a file, in an environment variable, or in the URI itself, out of sight. */
export type PinSource =
  | { readonly from: 'file'; readonly path: string }
  | { readonly from: 'env'; readonly name: string }
  | { readonly from: 'value'; readonly reveal: () => string }

/** What a key URI names, in the terms of the backend that has the key. */
export type KeyUri = FileKeyUri | AwsKmsKeyUri | GcpKmsKeyUri | AzureKeyVaultKeyUri | Pkcs11KeyUri
