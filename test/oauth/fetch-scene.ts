import type { TokenSourceOptions } from '@countersign/oauth'
import {
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from '../servers/scripted-server.js'
import { closing, numberedTokens, type Scene, startScene } from './fixtures.ts'

/** A token source, and a server with the resource that its tokens are for. */
export interface FetchScene extends Scene {
  readonly api: ScriptedServer
  /** The resource, which is at a path of the server. */
  readonly resource: string
  /** The tokens that arrived at the server, `undefined` for a request that had none. */
  bearers(): (string | undefined)[]
}

export interface FetchSceneOptions extends Partial<TokenSourceOptions> {
  /** What the server does; by default it accepts all. */
  readonly answer?: Script
  readonly token?: Script
}

export async function startFetchScene(options: FetchSceneOptions = {}): Promise<FetchScene> {
  const { answer = () => new Response('welcome'), token = numberedTokens(), ...rest } = options
  const api = closing(await startScriptedServer(answer))
  const resource = `${api.url}/mcp`
  const scene = await startScene(token, { resource, ...rest })
  const bearers = () => api.requests.map(({ headers }) => bearerOf(headers))
  return { ...scene, api, resource, bearers }
}

export function bearerOf(headers: {
  readonly authorization?: string | undefined
}): string | undefined {
  return headers.authorization?.replace(/^Bearer /, '')
}

/** Accepts these tokens, and challenges every other. */
export function accepting(...tokens: readonly string[]): Script {
  return ({ headers }) =>
    tokens.includes(bearerOf(headers) ?? '')
      ? new Response('welcome')
      : new Response('no', { status: 401, headers: { 'www-authenticate': 'Bearer' } })
}
