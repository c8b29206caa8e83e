import type { OAuthDiscoveryState } from '@modelcontextprotocol/client'
import { redirectUri } from './sign-in-server.ts'

interface Tokens {
  readonly access_token: string
  readonly token_type: string
  readonly refresh_token?: string | undefined
}

/** A provider as applications write it: a class that stores everything in private fields. */
export class InteractiveProvider {
  readonly redirectUrl = redirectUri
  readonly clientMetadata = { redirect_uris: [redirectUri] }
  readonly #clientId: string
  #tokens: Tokens | undefined
  #verifier = ''
  #sentTo: URL | undefined

  constructor(clientId: string) {
    this.#clientId = clientId
  }

  /** The URL to which the user was sent to sign in. */
  get sentTo(): URL {
    if (this.#sentTo === undefined) throw new Error('no user was sent to sign in')
    return this.#sentTo
  }

  clientInformation() {
    return { client_id: this.#clientId }
  }

  tokens() {
    return this.#tokens
  }

  saveTokens(tokens: Tokens) {
    this.#tokens = tokens
  }

  redirectToAuthorization(url: URL) {
    this.#sentTo = url
  }

  saveCodeVerifier(verifier: string) {
    this.#verifier = verifier
  }

  codeVerifier() {
    return this.#verifier
  }
}

/** A provider that stores the discovery as JSON, as a database does. */
export class RememberingProvider extends InteractiveProvider {
  #state: string | undefined

  saveDiscoveryState(state: OAuthDiscoveryState) {
    this.#state = JSON.stringify(state)
  }

  discoveryState(): OAuthDiscoveryState | undefined {
    return this.#state === undefined ? undefined : JSON.parse(this.#state)
  }
}
