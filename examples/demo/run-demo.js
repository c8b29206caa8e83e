// @ts-check
import { generateKeyPairSync } from 'node:crypto'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { observedFetch, observeSignatures } from './observe.js'
import { openPage } from './page.js'
import { startPair } from './servers.js'
import { tellStory } from './story.js'

const clientId = 'demo-agent'
const timeoutSeconds = 5

/**
 * Makes a key, starts an authorization server and an MCP server on loopback, lets an MCP client call
 * a tool by a signature of that key, and tells what went over the wire.
 *
 * Throws an `Error` whose message is a sentence for the user. Either way nothing is left running.
 *
 * @param {{ write: (text: string) => void, color: boolean }} output
 */
export async function runDemo(output) {
  const started = performance.now()
  const page = openPage(output)
  /** @type {(() => unknown)[]} */
  const undo = []
  let doing = 'making a key'
  try {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const signer = await localSigner({ key: privateKey })

    doing = 'starting the servers'
    const servers = await startPair({
      client_id: clientId,
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: signer.alg,
      jwks: jwks(signer),
    })
    undo.push(servers.close)
    const { authorizationServer, mcpServer } = servers

    doing = 'connecting to the MCP server'
    const { signatures, stop } = observeSignatures(signer.kid)
    undo.push(stop)
    const { fetch, exchanges } = observedFetch()
    const provider = clientCredentialsProvider({
      clientId,
      issuer: authorizationServer.issuer,
      authentication: privateKeyJwt(signer),
      timeoutSeconds,
      fetch,
    })
    const client = new Client({ name: 'countersign-demo', version: '1.0.0' })
    undo.push(() => client.close())
    const patience = { timeout: timeoutSeconds * 1000 }
    await client.connect(
      new StreamableHTTPClientTransport(new URL(mcpServer.url), {
        authProvider: provider,
        fetch: provider.fetch,
      }),
      patience,
    )

    doing = 'calling a tool'
    const { tools } = await client.listTools({}, patience)
    const { content } = await client.callTool({ name: 'whoami', arguments: {} }, patience)
    const [answer] = content
    if (answer?.type !== 'text' || answer.text !== clientId) {
      throw new Error(`the tool "whoami" should have answered ${clientId}`)
    }

    doing = 'telling what happened'
    tellStory(page, {
      clientId,
      signer,
      issuer: authorizationServer.issuer,
      mcpUrl: mcpServer.url,
      exchanges,
      tokenRequests: authorizationServer.tokenRequests,
      tools: tools.map(({ name }) => name),
      answer: answer.text,
      signatures,
      seconds: (performance.now() - started) / 1000,
    })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`The demo failed while ${doing}: ${why}`, { cause: error })
  } finally {
    for (const one of undo.reverse()) await one()
  }
}
