import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { ClientSet } from './client-set.ts'
import { ConfigurationError, type SidecarConfiguration } from './configuration.ts'
import { readOwnFile } from './own-file.ts'
import { notAllowed, problemOf, RequestRefused, unknownClient } from './problem.ts'

/**
 * Starts the listener that is compatible with the sidecar of Microsoft Entra:
 * `GET /AuthorizationHeaderUnauthenticated/NAME` answers `{"authorizationHeader": "Bearer …"}`.
 *
 * A port is open to each user of the machine, and to web pages by DNS rebinding. So a request must name the listener as
 * its host, have no `Origin`, and send the secret, unless the configuration says that every local user is served.
 *
 * @throws {@link ConfigurationError} when the secret cannot be read or the port is in use.
 *
 * @see [Microsoft Entra SDK for AgentID](https://learn.microsoft.com/en-us/entra/msidweb/agent-id-sdk/overview)
 */
export async function startSidecar(
  { listen, secretFile }: SidecarConfiguration,
  clients: () => ClientSet,
): Promise<Server> {
  const { hostname, port } = new URL(`http://${listen}`)
  const secret = secretFile === undefined ? undefined : await readSecret(secretFile)
  const app = new Hono()

  app.use(async (c, next) => {
    const host = c.req.header('host') ?? ''
    if (host !== listen && host !== `localhost:${listen.replace(/^.*:/, '')}`) {
      throw notAllowed('The Host of the request is not this listener')
    }
    if (c.req.header('origin') !== undefined) {
      throw notAllowed('Requests from web pages are refused')
    }
    c.header('cache-control', 'no-store')
    await next()
  })
  app.get('/healthz', (c) => c.text('Healthy'))
  app.get('/AuthorizationHeaderUnauthenticated/:name', async (c) => {
    if (secret !== undefined && !isSame(c.req.header('authorization') ?? '', `Bearer ${secret}`)) {
      throw new RequestRefused(
        401,
        'ERR_AGENT_NOT_ALLOWED',
        'The request must have the secret of the listener as its bearer token',
      )
    }
    if (new URL(c.req.url).search !== '') {
      throw notAllowed('The configuration alone chooses scope and resource; send no parameters')
    }
    const client = clients().get(c.req.param('name'))
    if (client === undefined) throw unknownClient()
    if (client.dpop !== undefined) {
      throw notAllowed(
        'The tokens of this client are bound to a key, and this listener has no place for proofs; use the socket of the agent',
      )
    }
    const { token_type, access_token } = await client.use(() => client.token({}, c.req.raw.signal))
    return c.json({ authorizationHeader: `${token_type} ${access_token}` })
  })
  app.onError((error, c) => {
    const problem = problemOf(error)
    return c.body(JSON.stringify(problem), problem.status as ContentfulStatusCode, {
      'content-type': 'application/problem+json',
    })
  })

  const server = createAdaptorServer({ fetch: app.fetch, createServer }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', ({ code }: NodeJS.ErrnoException) => {
      const message = `The sidecar cannot listen on ${listen} (${code}); choose another port`
      reject(new ConfigurationError(message))
    })
    const host = hostname.replace(/^\[|\]$/g, '')
    server.listen({ host, port: Number(port || 80) }, resolve)
  })
  return server
}

async function readSecret(path: string): Promise<string> {
  const file = { path, what: 'The secret file', forbidden: 0o077, maxOctets: 4096 }
  const text = await readOwnFile(file).catch((error: Error) => {
    throw new ConfigurationError(error.message)
  })
  const secret = text.trim()
  if (secret.length >= 16) return secret
  throw new ConfigurationError(
    `The secret file ${JSON.stringify(path)} has fewer than 16 characters`,
  )
}

function isSame(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}
