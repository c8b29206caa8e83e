import { generateKeyPairSync } from 'node:crypto'
import { jwks, type Signer, type SignMessage } from '@countersign/core'
import { localSigner } from '@countersign/local'
import {
  type AuthorizationServer,
  type ClientRegistration,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import { startMcpServer, type TestMcpServer } from '../servers/mcp-server.js'
import { closing } from './closing.ts'
import { signaturesOf } from './signatures.ts'

/** A signer, an authorization server that knows its key, and an MCP server that accepts the tokens. */
export interface Servers {
  readonly signer: Signer
  readonly signatures: readonly SignMessage[]
  readonly as: AuthorizationServer
  readonly mcp: TestMcpServer
  /** Counts since the last call of this function. */
  spent(): Spent
}

/** Counts of what an operation caused. */
export interface Spent {
  readonly signatures: number
  readonly tokenRequests: number
  /** Metadata requests to the authorization server and to the resource. */
  readonly discovery: number
}

/** Options of {@link startServers}. */
export interface ServersOptions {
  readonly signer?: Signer
  readonly client?: Partial<ClientRegistration>
  /** The SDK of the MCP server. */
  readonly sdk?: 'v1' | 'v2'
  readonly ttlSeconds?: number
  readonly scopes?: readonly string[]
  readonly scopesSupported?: string[]
  readonly requiredScopes?: string[]
  readonly toolScopes?: { readonly add?: string }
  /** Whether the servers bind tokens to keys, and whether the authorization server asks for a nonce. */
  readonly dpop?: 'supported' | 'nonce'
}

/** A signer with a new P-256 key. */
export async function newSigner(): Promise<Signer> {
  return localSigner({ key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey })
}

/** Starts the servers, and closes them after the test. */
export async function startServers(options: ServersOptions = {}): Promise<Servers> {
  const { ttlSeconds = 3600, scopes = ['use', 'math'], sdk = 'v2', dpop } = options
  const signer = options.signer ?? (await newSigner())
  const as = closing(await startAuthorizationServer({ ttlSeconds, ...(dpop && { dpop }) }))
  await as.registerClient({
    client_id: 'agent',
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: jwks(signer),
    ...options.client,
  })
  const mcp = closing(
    await startMcpServer({
      issuer: as.issuer,
      sdk,
      dpop: dpop !== undefined,
      ...(options.scopesSupported && { scopesSupported: options.scopesSupported }),
      ...(options.requiredScopes && { requiredScopes: options.requiredScopes }),
      ...(options.toolScopes && { toolScopes: options.toolScopes }),
    }),
  )
  as.registerResource(mcp.url, scopes)
  as.forget()
  mcp.forget()
  const signatures = signaturesOf(signer.kid)
  let counted = 0
  return {
    signer,
    signatures,
    as,
    mcp,
    spent() {
      const spent = {
        signatures: signatures.length - counted,
        tokenRequests: as.counters.token,
        discovery: as.counters.discovery + mcp.counters.discovery,
      }
      counted = signatures.length
      as.forget()
      mcp.forget()
      return spent
    },
  }
}
