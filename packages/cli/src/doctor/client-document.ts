import { type PublicJwk, thumbprint } from '@countersign/core'
import { boundedFetch, requireSecureUrl, sanitizeValue } from '@countersign/oauth/internal'
import type { TokenInputs } from './requests.ts'
import type { Candidate } from './step.ts'

/** What is wrong with a client's metadata document. */
export interface DocumentFault {
  readonly candidate: Candidate
  readonly seen: string
}

type Json = Readonly<Record<string, unknown>>

/**
 * Reads the metadata document of a client whose identifier is a URL, as the authorization server does, and finds what is
 * wrong with it.
 *
 * `undefined` when nothing is wrong, when the server does not support such clients, or when the document cannot be read
 * from here.
 *
 * @see [Client ID Metadata Document](https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/)
 */
export async function faultOfDocument(inputs: TokenInputs): Promise<DocumentFault | undefined> {
  const { as, signer, context } = inputs
  const { clientId } = context
  if (as['client_id_metadata_document_supported'] !== true) return undefined
  if (!/^https?:\/\//.test(clientId)) return undefined
  try {
    const document = await read(inputs, clientId, 'client identifier')
    if (typeof document === 'string') return { candidate: 'client', seen: document }
    const {
      client_id: id,
      token_endpoint_auth_method: method,
      token_endpoint_auth_signing_alg: alg = signer.alg,
      jwks_uri: uri,
    } = document
    if (id !== clientId || method !== 'private_key_jwt') {
      const seen = `its document is for the client ${sanitizeValue(id)}, with the method ${sanitizeValue(method)}`
      return { candidate: 'client', seen }
    }
    if (alg !== signer.alg) {
      return {
        candidate: 'algorithm',
        seen: `its document names the algorithm ${sanitizeValue(alg)}`,
      }
    }
    const jwks = typeof uri === 'string' ? await read(inputs, uri, '"jwks_uri"') : document['jwks']
    if (typeof jwks === 'string') return { candidate: 'key', seen: jwks }
    return faultOfKeys((jwks as Json | undefined)?.['keys'], signer.publicJwk)
  } catch {
    context.signal?.throwIfAborted()
    // The server may still be able to read it.
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

/** Returns the JSON object at a URL, or a sentence that says why it cannot be read. */
async function read({ context }: TokenInputs, location: string, what: string) {
  const { href } = requireSecureUrl(location, what, { namedBy: context.clientId })
  return context.within(async (signal) => {
    const headers = { accept: 'application/json' }
    const request = { headers, redirect: 'manual', signal }
    const response = await boundedFetch(context.fetch, 'ERR_OAUTH_DISCOVERY')(href, request)
    if (response.status !== 200) return `${href} is answered with HTTP status ${response.status}`
    const body: unknown = await response.json().catch(() => undefined)
    return typeof body === 'object' && body !== null ? (body as Json) : `${href} is not JSON`
  })
}
