import { type PublicJwk, thumbprint } from '@countersign/core'
import { boundedFetch, requireSecureUrl, sanitizeValue } from '@countersign/oauth/provider'
import type { Candidate } from './step.ts'
import type { TokenScene } from './token-request.ts'

/** What a client's own metadata document has against it. */
export interface DocumentFault {
  readonly candidate: Candidate
  readonly seen: string
}

type Json = Readonly<Record<string, unknown>>

/**
 * Reads the document of a client whose identifier is the URL of one, as an authorization server does that takes such
 * clients, and says what is wrong with it: that is no secret, and nobody has to be asked by trial.
 *
 * `undefined` when nothing is, or there is no such document to look at from here.
 *
 * @see [Client ID Metadata Document](https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/)
 */
export async function faultOfDocument(scene: TokenScene): Promise<DocumentFault | undefined> {
  const { as, signer, context } = scene
  const { clientId } = context
  if (as['client_id_metadata_document_supported'] !== true) return undefined
  if (!/^https?:\/\//.test(clientId)) return undefined
  try {
    const document = await read(scene, clientId, 'client identifier')
    if (typeof document === 'string') return { candidate: 'client', seen: document }
    const {
      client_id: id,
      token_endpoint_auth_method: method,
      token_endpoint_auth_signing_alg: alg = signer.alg,
      jwks_uri: uri,
    } = document
    if (id !== clientId || method !== 'private_key_jwt') {
      const seen = `its document is of the client ${sanitizeValue(id)}, with the method ${sanitizeValue(method)}`
      return { candidate: 'client', seen }
    }
    if (alg !== signer.alg) {
      return {
        candidate: 'algorithm',
        seen: `its document names the algorithm ${sanitizeValue(alg)}`,
      }
    }
    const jwks = typeof uri === 'string' ? await read(scene, uri, '"jwks_uri"') : document['jwks']
    if (typeof jwks === 'string') return { candidate: 'key', seen: jwks }
    return faultOfKeys((jwks as Json | undefined)?.['keys'], signer.publicJwk)
  } catch {
    context.signal?.throwIfAborted()
    // Whether the server can read it is not known for that.
    return undefined
  }
}

function faultOfKeys(keys: unknown, publicJwk: PublicJwk): DocumentFault | undefined {
  const published = (Array.isArray(keys) ? keys : []) as readonly Json[]
  const own = thumbprint({ ...publicJwk })
  const same = published.find((jwk) => thumbprintOf(jwk) === own)
  if (same?.['kid'] === publicJwk.kid) return undefined
  const seen =
    same === undefined
      ? `its document publishes the keys ${sanitizeValue(published.map(({ kid }) => kid))}`
      : `its document publishes this key as ${sanitizeValue(same['kid'])}`
  return { candidate: 'key', seen }
}

function thumbprintOf(jwk: Json): string | undefined {
  try {
    return thumbprint(jwk)
  } catch {
    return undefined
  }
}

/** What is published at a URL; a sentence when that is nothing of use. */
async function read({ context }: TokenScene, location: string, what: string) {
  const { href } = requireSecureUrl(location, what, { namedBy: context.clientId })
  return context.within(async (signal) => {
    const headers = { accept: 'application/json' }
    const request = { headers, redirect: 'manual', signal }
    const response = await boundedFetch(context.fetch, 'ERR_OAUTH_DISCOVERY')(href, request)
    if (response.status !== 200) return `${href} is answered with HTTP status ${response.status}`
    const body: unknown = await response.json().catch(() => undefined)
    return typeof body === 'object' && body !== null ? (body as Json) : `${href} is no JSON`
  })
}
