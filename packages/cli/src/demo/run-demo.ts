import { generateKeyPairSync } from 'node:crypto'
import { jwks, type Signer } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { version } from '../version.ts'
import { observedFetch, observeSignatures } from './observe.ts'
import { openPage, type Paper } from './page.ts'
import { type DemoServers, startServers } from './servers.ts'
import { type Happening, tellStory } from './story.ts'

const clientId = 'demo-agent'

/** What the demo is run with. */
export interface DemoSettings extends Paper {
  /** Who signs; a key that is made for this run by default. */
  readonly signer?: Signer | undefined
  readonly timeoutSeconds: number
  readonly signal: AbortSignal
}

/**
 * Starts an authorization server and an MCP server on loopback, lets an MCP client call a tool by a signature, and
 * tells what went over the wire. Whether it ends well or not, nothing is left running.
 *
 * @throws `signal.reason` when aborted; what the signer, a server or the client threw.
 */
export async function runDemo(settings: DemoSettings): Promise<void> {
  const started = performance.now()
  const signer = settings.signer ?? (await newSigner())
  const servers = await startServers({
    client_id: clientId,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: signer.alg,
    jwks: jwks(signer),
  })
  try {
    const happened = await callTool(servers, signer, settings)
    tellStory(openPage(settings), {
      ...happened,
      clientId,
      signer,
      keyOrigin: settings.signer === undefined ? 'made for this run, never written down' : 'yours',
      issuer: servers.issuer,
      mcpUrl: servers.mcpUrl,
      seconds: (performance.now() - started) / 1000,
    })
  } finally {
    await servers.close()
  }
}

async function newSigner(): Promise<Signer> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return localSigner({ key: privateKey })
}

/** Connects an MCP client, lists the tools, calls `whoami`, and keeps what went over the wire. */
async function callTool(
  servers: DemoServers,
  signer: Signer,
  { timeoutSeconds, signal }: DemoSettings,
): Promise<Pick<Happening, 'exchanges' | 'signatures' | 'tools' | 'answer'>> {
  const { signatures, stop } = observeSignatures(signer.kid)
  const { fetch, exchanges } = observedFetch()
  const provider = clientCredentialsProvider({
    clientId,
    issuer: servers.issuer,
    authentication: privateKeyJwt(signer),
    timeoutSeconds,
    fetch,
  })
  const transport = new StreamableHTTPClientTransport(new URL(servers.mcpUrl), {
    fetch: provider.fetch,
  })
  const client = new Client({ name: 'countersign-demo', version })
  const request = { timeout: timeoutSeconds * 1000, signal }
  try {
    await client.connect(transport, request)
    const { tools } = await client.listTools({}, request)
    const { content } = await client.callTool({ name: 'whoami', arguments: {} }, request)
    const [answer] = content
    if (answer?.type !== 'text' || answer.text !== clientId) {
      throw new Error(`the tool "whoami" should have answered ${clientId}`)
    }
    return { exchanges, signatures, tools: tools.map(({ name }) => name), answer: answer.text }
  } catch (error) {
    // The SDK wraps the reason in an error of its own.
    signal.throwIfAborted()
    throw error
  } finally {
    await client.close()
    stop()
  }
}
