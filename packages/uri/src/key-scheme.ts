import type { ClosableSigner, JwsAlgorithm } from '@countersign/core'

/** A secret, or a function that returns it when it is needed. */
export type Secret = string | (() => string | Promise<string>)

/** Gives tokens of Microsoft Entra ID, as every credential of `@azure/identity` does. */
export interface AzureCredential {
  getToken(
    scopes: string | string[],
    options?: object,
  ): Promise<{ token: string; expiresOnTimestamp: number } | null>
}

/** What the caller passes with the URI to open a key. */
export interface OpenKeyOptions {
  /** Stops loading; the promise then rejects with `signal.reason`. It does not apply to later signatures. */
  readonly signal?: AbortSignal | undefined
  /** Bound on one signature, and on loading a key from a key service; 10 by default. Files have no bound. */
  readonly timeoutSeconds?: number | undefined
  /** The passphrase of an encrypted key file; a function is called only when the file is encrypted. */
  readonly passphrase?: Secret | undefined
  /** The PIN of a `pkcs11:` URI that does not say where it is; a function is called for each login. */
  readonly pin?: Secret | undefined
  /** The credential of an `azurekms:` URI. */
  readonly azureCredential?: AzureCredential | undefined
  /** Whether files with a key or a PIN may be accessible to users other than their owner; `false` by default. */
  readonly allowSharedFiles?: boolean | undefined
}

/** A parsed key URI: what its scheme read, and what every key URI can have. */
export type ParsedKeyUri<Key extends object = object, Name extends string = string> = Key & {
  readonly scheme: Name
  /** The algorithm to use the key with; by default the key's own. */
  readonly alg?: JwsAlgorithm
  /** Key ID to publish; by default the RFC 7638 thumbprint. */
  readonly kid?: string
}

/** Values of attributes in a query, by name. */
export interface KeyUriAttributes {
  readonly [name: string]: string | undefined
}

/** The two parts of a key URI after its scheme. */
export interface KeyUriParts {
  /** Everything between the colon and the query, still percent-encoded: `//vault.example/keys/agent`. */
  readonly path: string
  /**
   * Reads the query. Unknown, repeated and empty attributes are refused.
   *
   * @param accepted - names of the scheme's own attributes. Every scheme also has `alg` and `kid`, which are read
   *   separately.
   * @param instead - attributes to refuse with advice: `{ profile: 'set AWS_PROFILE' }`.
   * @returns the decoded values of those attributes that are present.
   */
  attributes<Name extends string = never>(
    accepted?: readonly Name[],
    instead?: { readonly [name: string]: string },
  ): { readonly [Accepted in Name]?: string }
}

/**
 * A scheme of key URIs: how its URIs are read and written, and how its keys are opened.
 *
 * @example
 * ```ts
 * import { type Signer, SignerError } from '@countersign/core'
 * import { closable } from '@countersign/core/backend'
 * import { type KeyScheme, signerFromUri } from '@countersign/uri'
 *
 * declare function acmeSigner(options: { key: string; alg?: string; kid?: string }): Promise<Signer>
 *
 * const acme: KeyScheme<{ key: string }> = {
 *   name: 'acme',
 *   parse({ path, attributes }) {
 *     if (!/^[\w-]+$/.test(path)) {
 *       throw new SignerError('ERR_SIGNER_CONFIG', 'This acme: URI names no key; write acme:NAME')
 *     }
 *     return { key: path, ...attributes() }
 *   },
 *   format: ({ key }) => ({ path: key }),
 *   open: async ({ key, alg, kid }) =>
 *     closable(await acmeSigner({ key, ...(alg && { alg }), ...(kid && { kid }) }), 'acme'),
 * }
 *
 * const signer = await signerFromUri('acme:agent?alg=ES256', { schemes: [acme] })
 * ```
 *
 * @see [RFC 3986 §3](https://www.rfc-editor.org/rfc/rfc3986#section-3)
 */
export interface KeyScheme<Key extends object = object> {
  /** What a URI begins with, without the colon: two or more characters, in lower case. */
  readonly name: string
  /**
   * Reads a URI into plain data that identifies the key. It touches no file and no network.
   *
   * @throws `SignerError` `ERR_SIGNER_CONFIG` that says what to write instead, without values from the URI.
   */
  parse(parts: KeyUriParts): Key
  /** Writes the URI of a key, without secrets. `attributes` are percent-encoded by the caller, `path` is not. */
  format(key: Key): { readonly path: string; readonly attributes?: KeyUriAttributes }
  /** Opens the key: one version of it, which has signed once. `loadSigner` of `@countersign/core/backend` does that. */
  open(uri: ParsedKeyUri<Key>, options: OpenKeyOptions): Promise<ClosableSigner>
  /** Recognises the name of a key as its service shows it, and returns the URI to write. */
  suggest?(name: string): KeyUriSuggestion | undefined
}

/** The URI to write instead of the name of a key. */
export interface KeyUriSuggestion {
  /** Name of the key service, for people. */
  readonly service: string
  readonly uri: string
  /** Follows the URI in the error. */
  readonly note?: string
}
