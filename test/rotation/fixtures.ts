import { jwks, type SignerSource } from '@countersign/core'
import { type ClientAuthentication, tokenSource } from '@countersign/oauth'
import { expect, onTestFinished } from 'vitest'
import {
  type AuthorizationServer,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import { listenOnLoopback } from '../servers/loopback.js'
import { until } from '../support/until.js'

/** Closes a resource when the test ends, and returns it. */
export function closing<T extends { close(): Promise<void> }>(closable: T): T {
  onTestFinished(() => closable.close())
  return closable
}

/** A web server on which a client publishes its documents. */
interface Publisher {
  readonly origin: string
  /** Publishes a document at a path, in place of an earlier one. */
  publish(path: string, document: object): string
  /** How often the document at this path was fetched. */
  fetches(path: string): number
}

export async function startPublisher(): Promise<Publisher> {
  const documents = new Map<string, string>()
  const server = closing(
    await listenOnLoopback((request, response) => {
      const document = documents.get(request.url ?? '')
      response.writeHead(document === undefined ? 404 : 200, {
        'content-type': 'application/json',
      })
      response.end(document)
    }),
  )
  return {
    origin: server.origin,
    publish(path, document) {
      documents.set(path, JSON.stringify(document))
      return `${server.origin}${path}`
    },
    fetches: (path) => server.requests.filter((request) => request.path === path).length,
  }
}

/** The client "agent", whose keys the authorization server fetches from its "jwks_uri". */
export interface PublishedClient {
  readonly as: AuthorizationServer
  readonly publisher: Publisher
  /** Publishes these keys in place of earlier ones. */
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

/** Clients that request one access token after the other. */
interface Load {
  /** Waits until this number of further tokens was granted. */
  more(tokens: number): Promise<void>
  /** Stops the clients, and fails unless every request was granted. */
  end(): Promise<void>
}

/** Starts clients that share one client authentication and do not retry. */
export function startLoad(
  { issuer }: { readonly issuer: string },
  clientId: string,
  authentication: ClientAuthentication,
  clients = 8,
): Load {
  let granted = 0
  let ended = false
  const failures: unknown[] = []

  async function run(): Promise<void> {
    const source = tokenSource({ issuer, clientId, authentication, retries: 0 })
    while (!ended) {
      try {
        source.invalidate(await source.token())
        granted++
      } catch (error) {
        failures.push(error)
        return
      }
    }
  }
  const running = Promise.all(Array.from({ length: clients }, run))
  onTestFinished(async () => {
    ended = true
    await running
  })
  return {
    async more(tokens) {
      const enough = granted + tokens
      await until(() => granted >= enough || failures.length > 0, 20)
      expect(failures).toEqual([])
    },
    async end() {
      ended = true
      await running
      expect(failures).toEqual([])
    },
  }
}
