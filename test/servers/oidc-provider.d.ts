// The parts of oidc-provider these servers use. It ships no types of its own.

declare module 'oidc-provider/lib/provider.js' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export interface ProviderContext {
    readonly req: IncomingMessage
    readonly status: number
    readonly oidc?: { readonly body?: Record<string, string | string[] | undefined> }
  }

  export interface ProviderError extends Error {
    readonly error_description?: string
    readonly error_detail?: string
  }

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
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

declare module 'oidc-provider/lib/helpers/errors.js' {
  export class InvalidTarget extends Error {
    constructor(description: string)
  }
}

declare module 'oidc-provider/lib/consts/jwa.js' {
  export const clientAuthSigningAlgValues: string[]
}
