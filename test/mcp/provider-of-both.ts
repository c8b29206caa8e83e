import type { OAuthClientProvider as ProviderV2 } from '@modelcontextprotocol/client'
import type { OAuthClientProvider as ProviderV1 } from '@modelcontextprotocol/sdk/client/auth.js'

/** A provider that both SDK majors take. */
export type ProviderOfBoth = ProviderV1 & ProviderV2
