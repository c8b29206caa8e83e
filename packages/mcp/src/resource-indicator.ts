import { OAuthError } from '@countersign/oauth'
import { isWithin, requireSecureUrl, sanitize, sanitizeValue } from '@countersign/oauth/provider'

/**
 * The resource to ask a token for, RFC 8707: what the metadata says, if that covers the URL that is going to be used.
 *
 * The SDKs send the `href` of what they are given. That of a `URL` object would add a slash to some identifiers,
 * which then name another resource to a server that compares them as strings; so this one's is as the metadata
 * spells it.
 */
export function resourceIndicator(used: string, ofMetadata: string = used): URL {
  const resource = requireSecureUrl(ofMetadata, 'resource')
  if (!isWithin(new URL(used), resource)) {
    throw new OAuthError(
      'ERR_OAUTH_RESOURCE_MISMATCH',
      `The metadata is of the resource ${sanitizeValue(ofMetadata)}, which does not cover ${sanitize(used)}; nothing was signed`,
    )
  }
  return Object.defineProperty(resource, 'href', { value: ofMetadata })
}
