import type { Signer, SignMessage } from '@countersign/core'
import { expect } from 'vitest'
import {
  type Metadata,
  startScriptedAuthorizationServer,
} from '../servers/hostile-authorization-server.js'
import {
  type Resource,
  type ResourceOptions,
  startScriptedResource,
  unauthorized,
} from '../servers/hostile-resource.js'
import type { Answer, ScriptedRequest, ScriptedServer } from '../servers/scripted-server.js'
import { tokenResponse } from '../servers/token-responses.js'
import { closing } from './closing.ts'
import { answerAsMcp, bearer } from './scripted-mcp.ts'
import { newSigner, type Spent } from './servers.ts'
import { signaturesOf } from './signatures.ts'

/** A signer, an authorization server that grants every request, and an MCP server, both controlled by the test. */
export interface ScriptedServers {
  readonly signer: Signer
  readonly signatures: readonly SignMessage[]
  readonly as: ScriptedServer
  readonly resource: ScriptedServer & Resource
  /** The resource's metadata; a test may change it at any time. */
  readonly claims: Claims
  /** Tokens that the resource accepts. */
  readonly accepted: Set<string>
  /** Moves the resource to another authorization server, whose tokens are the only accepted ones, and returns that. */
  move(): Promise<ScriptedServer>
  /** Waits for the stream that an SDK requests after it has connected. */
  streamAsked(): Promise<void>
  /** Counts since the last call of this function. */
  spent(): Spent
}

/** Metadata of a resource. */
export interface Claims {
  authorizationServers: readonly string[]
  resource?: string
  scopesSupported?: readonly string[]
}

/** Options of {@link startScriptedServers}. */
export interface ScriptedServersOptions {
  readonly metadata?: Metadata | ((url: string) => Metadata)
  /** Members of the token response to the request of this number, from 1. */
  readonly grant?: (number: number) => Record<string, unknown> | Promise<Record<string, unknown>>
  readonly scopesSupported?: readonly string[]
  /** Answers a request without an accepted token; by default a 401. */
  readonly refuse?: (self: Resource, request: ScriptedRequest) => Answer
  /** Answers a request with an accepted token. */
  readonly answer?: (request: ScriptedRequest, self: Resource) => Answer | Promise<Answer>
}

/** Starts the servers, and closes them after the test. Tokens are called `token-1`, `token-2` and so on. */
export async function startScriptedServers(
  options: ScriptedServersOptions = {},
): Promise<ScriptedServers> {
  const { grant = () => ({}), refuse = unauthorized, answer = answerAsMcp } = options
  const accepted = new Set<string>()
  let granted = 0
  const as = closing(
    await startScriptedAuthorizationServer({
      metadata: options.metadata ?? {},
      async token() {
        granted++
        const access_token = `token-${granted}`
        accepted.add(access_token)
        return tokenResponse({ access_token, ...(await grant(granted)) })
      },
    }),
  )
  const claims = {
    authorizationServers: [as.url],
    ...(options.scopesSupported && { scopesSupported: options.scopesSupported }),
    answer(request, self) {
      return accepted.has(bearer(request) ?? '') ? answer(request, self) : refuse(self, request)
    },
  } as ResourceOptions & Claims
  const resource = closing(await startScriptedResource(claims))
  const signer = await newSigner()
  const signatures = signaturesOf(signer.kid)
  const seen = { signatures: 0, tokenRequests: 0, discovery: 0 }
  return {
    signer,
    signatures,
    as,
    resource,
    claims,
    accepted,
    async move() {
      const access_token = 'of-the-other'
      const token = () => tokenResponse({ access_token })
      const other = closing(await startScriptedAuthorizationServer({ token }))
      claims.authorizationServers = [other.url]
      accepted.clear()
      accepted.add(access_token)
      accepted.add = () => accepted
      return other
    },
    async streamAsked() {
      const streams = () => resource.requests.filter((one) => one.method === 'GET' && bearer(one))
      await expect.poll(streams).not.toEqual([])
    },
    spent() {
      const all = [...as.requests, ...resource.requests]
      const total = {
        signatures: signatures.length,
        tokenRequests: all.filter(({ path }) => path === '/token').length,
        discovery: all.filter(({ path }) => path.startsWith('/.well-known/')).length,
      }
      const spent = {
        signatures: total.signatures - seen.signatures,
        tokenRequests: total.tokenRequests - seen.tokenRequests,
        discovery: total.discovery - seen.discovery,
      }
      Object.assign(seen, total)
      return spent
    },
  }
}
