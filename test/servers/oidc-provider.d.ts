// The parts of oidc-provider these servers use. It ships no types of its own.

declare module 'oidc-provider/lib/provider.js' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export interface ProviderContext {
    readonly req: IncomingMessage
    readonly status: number
    readonly oidc?: { readonly body?: Record<string, string | string[] | undefined> }
  }

  /** A request of a client that has authenticated. */
  export interface GrantContext {
    body: object
    readonly oidc: {
      readonly client: { readonly clientId: string }
      readonly params: Readonly<Record<string, string | undefined>>
    }
  }

  /** A token that `save` stores and encodes. */
  export interface AccessToken {
    scope: string | undefined
    resourceServer: object
    readonly expiration: number
    readonly tokenType: string
    setThumbprint(type: 'jkt', thumbprint: string): void
    save(): Promise<string>
  }

  export interface ProviderError extends Error {
    readonly error_description?: string
    readonly error_detail?: string
  }

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    readonly issuer: string
    readonly AccessToken: new (
      properties: Record<string, unknown>,
    ) => AccessToken
    readonly ResourceServer: new (
      identifier: string,
      properties: object,
    ) => object
    readonly ReplayDetection: { unique(issuer: string, jti: string, exp: number): Promise<boolean> }
    registerGrantType(
      name: string,
      handler: (context: GrantContext) => Promise<void>,
      parameters: readonly string[],
    ): void
    readonly Client: { find(clientId: string): Promise<object | undefined> }
    use(middleware: (context: ProviderContext, next: () => Promise<void>) => Promise<void>): this
    on(
      event: 'grant.error' | 'server_error',
      listener: (context: ProviderContext, error: ProviderError) => void,
    ): this
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>
    urlFor(route: 'token' | 'jwks'): string
  }
}

declare module 'oidc-provider/lib/helpers/validate_dpop.js' {
  import type { GrantContext, Provider } from 'oidc-provider/lib/provider.js'

  function validateDpop(
    provider: Provider,
    context: GrantContext,
  ): Promise<{ readonly thumbprint: string } | undefined>

  // biome-ignore lint/style/noDefaultExport: it is what oidc-provider has
  export { validateDpop as default }
}

declare module 'oidc-provider/lib/helpers/errors.js' {
  export class InvalidTarget extends Error {
    constructor(description: string)
  }

  export class InvalidGrant extends Error {
    constructor(detail: string)
  }
}

declare module 'oidc-provider/lib/consts/jwa.js' {
  export const clientAuthSigningAlgValues: string[]
}
