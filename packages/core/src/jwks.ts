import { hasPrivateMember, type PublicJwk } from './public-key.ts'
import { currentSigner, type SignerSource } from './signer.ts'

/** A JWK Set of public keys, RFC 7517 §5. */
export interface Jwks {
  readonly keys: PublicJwk[]
}

/**
 * Collects the public keys of signers into the JWK Set to register or to publish.
 *
 * @param sources - the signers; one that is given twice appears once. A rotating signer is represented by the key in
 *   use.
 * @returns `{ keys }`, in the order given.
 * @throws `TypeError` when two keys, or two algorithms of one key, have the same `kid`, so that verifiers
 *   could not tell them apart; when a key has a private member; and when a rotating signer has no key yet.
 *
 * @example
 * ```ts
 * import { jwks, type Signer } from '@countersign/core'
 *
 * declare const current: Signer
 * declare const next: Signer
 *
 * const body = JSON.stringify(jwks(current, next))
 * ```
 *
 * @see [RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)
 */
export function jwks(...sources: SignerSource[]): Jwks {
  const keys = new Map<string, PublicJwk>()
  for (const source of sources) {
    const { kid, publicJwk } = currentSigner(source)
    if (hasPrivateMember({ ...publicJwk })) {
      throw new TypeError(`the key with the kid ${JSON.stringify(kid)} has a private member`)
    }
    const known = keys.get(kid)
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(publicJwk)) {
      throw new TypeError(
        `two keys, or two algorithms of one key, have the kid ${JSON.stringify(kid)}; give one of them a "kid" of its own`,
      )
    }
    keys.set(kid, publicJwk)
  }
  return { keys: [...keys.values()] }
}
