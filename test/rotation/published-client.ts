import { jwks, type SignerSource } from '@countersign/core'
import {
  type AuthorizationServer,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import { closing } from './closing.ts'
import { type Publisher, startPublisher } from './publisher.ts'

/** The client "agent", at an authorization server that fetches its keys from where it publishes them. */
export interface PublishedClient {
  readonly as: AuthorizationServer
  readonly publisher: Publisher
  /** Publishes these keys instead of those before. */
  publish(...sources: SignerSource[]): void
}

export async function startPublishedClient(...sources: SignerSource[]): Promise<PublishedClient> {
  const publisher = await startPublisher()
  const publish = (...keys: SignerSource[]) => publisher.publish('/jwks.json', jwks(...keys))
  const as = closing(await startAuthorizationServer())
  await as.registerClient({
    client_id: 'agent',
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: publish(...sources),
  })
  return { as, publisher, publish }
}
