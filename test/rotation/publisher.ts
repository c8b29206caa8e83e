import { listenOnLoopback } from '../servers/loopback.js'
import { closing } from './closing.ts'

/** What a client publishes, where an authorization server can fetch it. */
export interface Publisher {
  readonly origin: string
  /** Puts a document under a path, in the place of what was there. */
  publish(path: string, document: object): string
  /** How often it was fetched. */
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
