// The parts of oidc-provider that sign a user in; the shared servers declare the others.

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
