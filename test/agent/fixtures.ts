import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type AgentOptions, type RunningAgent, startAgent } from '@countersign/agent/server'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import {
  type AuthorizationServer,
  startAuthorizationServer,
} from '../servers/authorization-server.js'

/** The client that the authorization server knows, and its name in the configuration. */
export const clientId = 'billing-agent'
export const name = 'billing'

/** The resource that tokens are for, and its scope values. */
export const resource = 'https://api.example.com/invoices'
export const scopes: readonly string[] = ['read', 'write']

/** A folder with a key and a configuration, and the authorization server that knows the key. */
export interface Fixtures extends AsyncDisposable {
  readonly folder: string
  readonly config: string
  readonly socket: string
  /** URI of the key. */
  readonly key: string
  readonly kid: string
  readonly authorizationServer: AuthorizationServer
  /** The configuration of the client. */
  readonly client: Readonly<Record<string, unknown>>
  /** Replaces the configuration file by another one. */
  configure(configuration: unknown): void
  /** Starts an agent in this process. */
  start(options?: Partial<AgentOptions>): Promise<RunningAgent>
}

/** Writes a new key into a file; returns its URI, its key ID and its public key. */
export async function writeKey(path: string) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const signer = await localSigner({ key: privateKey })
  return { uri: pathToFileURL(path).href, kid: signer.kid, jwks: jwks(signer) }
}

export async function startFixtures(): Promise<Fixtures> {
  const folder = mkdtempSync(join(tmpdir(), 'cs-agent-'))
  const config = join(folder, 'agent.json')
  const socket = join(folder, 'agent.sock')
  const { uri: key, kid, jwks: keys } = await writeKey(join(folder, 'key.pem'))
  const authorizationServer = await startAuthorizationServer({
    clients: [{ client_id: clientId, token_endpoint_auth_method: 'private_key_jwt', jwks: keys }],
    resources: { [resource]: scopes },
  })
  const client = {
    ...{ key, clientId, issuer: authorizationServer.issuer, scopes, resources: [resource] },
  }
  let written = 0

  function configure(configuration: unknown): void {
    const next = `${config}.${written++}`
    writeFileSync(next, JSON.stringify(configuration), { mode: 0o600 })
    renameSync(next, config)
  }
  configure({ clients: { [name]: client } })

  return {
    ...{ folder, config, socket, key, kid, authorizationServer, client, configure },
    start: (options = {}) => startAgent({ config, socket, ...options }),
    async [Symbol.asyncDispose]() {
      await authorizationServer.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** An answer of an agent. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The text as JSON; `undefined` when it is none. */
  readonly json: Readonly<Record<string, unknown>>
}

/** Sends a request to a socket, without the client half of the package. */
export function ask(
  socketPath: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = { 'content-type': 'application/json' },
  method: string = body === undefined ? 'GET' : 'POST',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method, headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () => {
        let json: Answer['json'] = {}
        try {
          json = JSON.parse(text)
        } catch {}
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json })
      })
    })
    sent.on('error', reject)
    sent.setTimeout(20_000, () => sent.destroy(new Error('no answer of the agent in 20 s')))
    sent.end(typeof body === 'string' || body === undefined ? body : JSON.stringify(body))
  })
}
