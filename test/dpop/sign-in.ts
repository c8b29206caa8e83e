import { jwks, type Signer } from '@countersign/core'
import { withClientAuthentication } from '@countersign/mcp'
import { type DpopSession, privateKeyJwt } from '@countersign/oauth'
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { expect } from 'vitest'
import { connect, type Major, type McpClient, type ProviderOfBoth } from '../mcp/clients.ts'
import { closing } from '../mcp/closing.ts'
import { InteractiveProvider } from '../mcp/interactive-provider.ts'
import { type SignInServer, signIn, startSignInServer } from '../mcp/sign-in-server.ts'
import { startMcpServer, type TestMcpServer } from '../servers/mcp-server.js'

const self = { name: 'countersign-test', version: '1.0.0' }

/** Who signs in. */
export interface SignInOptions {
  readonly major: Major
  /** Makes the assertions. */
  readonly signer: Signer
  /** Makes the proofs. */
  readonly session: DpopSession
  /** Whether both servers ask for nonces. */
  readonly nonces: boolean
}

/** A client that has signed in by an authorization code, with a token that is bound to its key. */
export interface SignedIn {
  readonly tools: McpClient
  readonly as: SignInServer
  readonly mcp: TestMcpServer
  token(): string
  /** Connects with the stored token, and with proofs of another key, as after a restart. */
  restart(session: DpopSession): Promise<McpClient>
}

/** Starts the servers, signs in, and connects with the token. */
export async function signInWithProofs({
  major,
  signer,
  session,
  nonces,
}: SignInOptions): Promise<SignedIn> {
  const client = { client_id: 'app', jwks: jwks(signer), dpop_bound_access_tokens: true }
  const as = closing(await startSignInServer(client, { requireNonce: nonces }))
  const mcp = closing(
    await startMcpServer({ issuer: as.issuer, scopesSupported: ['use'], dpop: true }),
  )
  as.registerResource(mcp.url)
  if (nonces) mcp.dpop.requireNonce('first')
  const interactive = new InteractiveProvider('app')
  const connectionWith = (session: DpopSession) => {
    const wrapped = withClientAuthentication(interactive, privateKeyJwt(signer), {
      ...{ issuer: as.issuer, dpop: { session } },
    })
    const authProvider = wrapped as unknown as ProviderOfBoth
    return { authProvider, ...(major === 'v1' ? { fetch: wrapped.fetch } : {}) }
  }
  const connection = connectionWith(session)
  const transport =
    major === 'v1'
      ? new TransportV1(new URL(mcp.url), connection)
      : new TransportV2(new URL(mcp.url), connection)
  const connecting = closing(major === 'v1' ? new ClientV1(self) : new ClientV2(self))
  await expect(connecting.connect(transport as Transport)).rejects.toThrow('Unauthorized')
  const answer = await signIn(interactive.sentTo)
  await (transport instanceof TransportV1
    ? transport.finishAuth(answer.get('code') ?? '')
    : transport.finishAuth(answer))
  const tools = closing(await connect(major, mcp.url, connection))
  return {
    ...{ tools, as, mcp },
    token: () => interactive.tokens()?.access_token ?? '',
    restart: async (other) => closing(await connect(major, mcp.url, connectionWith(other))),
  }
}
