import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { jwks, type Signer, type SignMessage } from '@countersign/core'
import { clientCredentialsProvider } from '@countersign/mcp'
import { type Fetch, privateKeyJwt } from '@countersign/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { openPage } from './page.ts'
import { type Exchange, type Run, report } from './report.ts'
import { type DemoServers, startServers } from './servers.ts'

/** The client ID that the demo registers. */
export const clientId = 'demo-agent'

const timeoutSeconds = 30

/** Options of {@link runDemo}. */
export interface DemoOptions {
  readonly signer: Signer
  /** Where the key comes from, as the report says it. */
  readonly keyOrigin: string
  readonly signal: AbortSignal
}

/**
 * Starts both servers, lets an MCP client call a tool, and prints each step on standard output.
 *
 * @returns the servers, still running.
 * @throws `signal.reason` when aborted; what the signer, a server or the client threw. No server runs then.
 */
export async function runDemo({ signer, keyOrigin, signal }: DemoOptions): Promise<DemoServers> {
  const started = performance.now()
  const servers = await startServers(
    {
      client_id: clientId,
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: signer.alg,
      jwks: jwks(signer),
    },
    { algorithms: [signer.alg] },
  )
  try {
    const { issuer, mcpUrl } = servers
    const called = await callTool(servers, signer, signal)
    const seconds = (performance.now() - started) / 1000
    report(openPage(), { ...called, clientId, signer, keyOrigin, issuer, mcpUrl, seconds })
    return servers
  } catch (error) {
    await servers.close()
    throw error
  }
}

/** Connects an MCP client, lists the tools and calls `whoami`; records requests and signatures. */
async function callTool(
  { issuer, mcpUrl }: DemoServers,
  signer: Signer,
  signal: AbortSignal,
): Promise<Pick<Run, 'exchanges' | 'signatures' | 'tools' | 'answer'>> {
  const { signatures, stop } = observeSignatures(signer.kid)
  const { fetch, exchanges } = observedFetch()
  const provider = clientCredentialsProvider({
    clientId,
    issuer,
    authentication: privateKeyJwt(signer),
    timeoutSeconds,
    fetch,
  })
  const transport = new StreamableHTTPClientTransport(new URL(mcpUrl), { fetch: provider.fetch })
  const client = new Client({ name: 'countersign-demo', version: '1.0.0' })
  const request = { timeout: timeoutSeconds * 1000, signal }
  try {
    await client.connect(transport, request)
    const { tools } = await client.listTools({}, request)
    const { content } = await client.callTool({ name: 'whoami', arguments: {} }, request)
    const [answer] = content
    if (answer?.type !== 'text' || answer.text !== clientId) {
      throw new Error(`the tool "whoami" did not answer "${clientId}"`)
    }
    return { exchanges, signatures, tools: tools.map(({ name }) => name), answer: answer.text }
  } catch (error) {
    // The SDK wraps the reason of the abort in its own error.
    signal.throwIfAborted()
    throw error
  } finally {
    await client.close()
    stop()
  }
}

/** A `fetch` that records each exchange. */
function observedFetch(): { readonly fetch: Fetch; readonly exchanges: Exchange[] } {
  const exchanges: Exchange[] = []
  return {
    exchanges,
    async fetch(input, init) {
      const request = input instanceof Request ? input : undefined
      const sent = new Headers(init?.headers ?? request?.headers)
      // Copied before the request, because the caller may change the form afterwards.
      const form = init?.body instanceof URLSearchParams ? Object.fromEntries(init.body) : undefined
      const response = await fetch(input, init)
      const { status, headers } = response
      const isJson = headers.get('content-type')?.startsWith('application/json')
      exchanges.push({
        method: init?.method ?? request?.method ?? 'GET',
        url: new URL(request?.url ?? input.toString()),
        form,
        bearer: sent.has('authorization'),
        status,
        headers,
        body: isJson ? await response.clone().json() : undefined,
      })
      return response
    },
  }
}

/** Records the signatures of one key, as the signer publishes them, until `stop` is called. */
function observeSignatures(kid: string): {
  readonly signatures: SignMessage[]
  readonly stop: () => void
} {
  const signatures: SignMessage[] = []
  const listener = (message: unknown) => {
    const signature = message as SignMessage
    if (signature.kid === kid) signatures.push(signature)
  }
  subscribe('countersign:sign', listener)
  return { signatures, stop: () => void unsubscribe('countersign:sign', listener) }
}
