// What signing a user in needs of oidc-provider, beside what the shared servers use.

import 'oidc-provider/lib/provider.js'
import type { IncomingMessage, ServerResponse } from 'node:http'

declare module 'oidc-provider/lib/provider.js' {
  interface ProviderContext {
    readonly res: ServerResponse
  }

  interface Provider {
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: { readonly login: { readonly accountId: string } },
    ): Promise<void>
    readonly Grant: new (properties: {
      accountId: string
      clientId: string
    }) => { addResourceScope(resource: string, scope: string): void; save(): Promise<string> }
  }
}
