import type { IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import { sanitize } from '@countersign/core/backend'
import type { HttpBindings } from '@hono/node-server'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { type Context, Hono } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { ClientSet } from './client-set.ts'
import type { Metrics } from './metrics.ts'
import { malformed, problemOf, RequestRefused, unknownClient } from './problem.ts'
import type { HeadersRequest, ProofRequest, ServedClient, TokenRequest } from './served-client.ts'

/** What the requests are answered from. */
export interface AppState {
  readonly clients: () => ClientSet
  readonly health: () => object
  readonly metrics: Metrics
  /** Is told of errors that are not the caller's. */
  readonly report: (message: string) => void
}

const openapi = createRequire(import.meta.url)('../openapi.json') as {
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}
const ajv = new Ajv2020({ strict: false }).addSchema(openapi, 'openapi')
const validatorOf = <T>(name: string): ValidateFunction<T> =>
  ajv.compile<T>({ $ref: `openapi#/components/schemas/${name}` })

const requests = {
  assertion: validatorOf<{ readonly audience?: string }>('AssertionRequest'),
  token: validatorOf<TokenRequest>('TokenRequest'),
  headers: validatorOf<HeadersRequest>('HeadersRequest'),
  'dpop-proof': validatorOf<ProofRequest>('DpopProofRequest'),
}

/** A token or an assertion in a request is far shorter. */
const longestBody = 65_536

/** The application runs on Node.js only, whose own objects are faster than a `Request` made of them. */
interface Environment {
  readonly Bindings: HttpBindings
}

/**
 * Makes the HTTP application of the agent, as `openapi.json` describes it.
 *
 * @see [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.0)
 */
export function createApp({ clients, health, metrics, report }: AppState): Hono<Environment> {
  const app = new Hono<Environment>()

  app.use(async (c, next) => {
    const start = performance.now()
    // Before the response is made, because a header that is added to it later has it copied.
    c.header('cache-control', 'no-store')
    await next()
    metrics.request(operationOf(c), c.res.status, (performance.now() - start) / 1000)
  })
  app.post('/clients/:name/assertion', (c) =>
    answer(c, requests.assertion, (client, { audience }, signal) =>
      client.assertion(audience, signal),
    ),
  )
  app.post('/clients/:name/token', (c) =>
    answer(c, requests.token, (client, request, signal) => client.token(request, signal)),
  )
  app.post('/clients/:name/headers', (c) =>
    answer(c, requests.headers, (client, request, signal) => client.headers(request, signal)),
  )
  app.post('/clients/:name/dpop-proof', (c) =>
    answer(c, requests['dpop-proof'], (client, request, signal) => client.proof(request, signal)),
  )
  app.get('/clients', async (c) =>
    c.json({ clients: await Promise.all([...clients().values()].map(describeClient)) }),
  )
  app.get('/healthz', (c) => c.json(health()))
  app.get('/metrics', async (c) =>
    c.body(await metrics.text(), 200, { 'content-type': metrics.contentType }),
  )
  app.get('/openapi.json', (c) => c.json(openapi))

  app.notFound((c) =>
    problemResponse(
      c,
      new RequestRefused(
        404,
        'ERR_AGENT_REQUEST',
        'There is no such operation; GET /openapi.json describes them',
      ),
    ),
  )
  app.onError((error, c) => problemResponse(c, error))

  async function answer<T>(
    c: Context<Environment>,
    validate: ValidateFunction<T>,
    action: (client: ServedClient, request: T, signal: AbortSignal) => Promise<object>,
  ): Promise<Response> {
    const request = await readBody(c, validate)
    const client = clients().get(c.req.param('name') ?? '')
    if (client === undefined) throw unknownClient()
    return c.json(await client.use(() => action(client, request, c.req.raw.signal)))
  }

  function problemResponse(c: Context, error: unknown): Response {
    const problem = problemOf(error)
    if (problem.status === 500 && !c.req.raw.signal.aborted) {
      const { name, code } = error as { readonly name?: unknown; readonly code?: unknown }
      report(`A request failed with an error of the agent: ${sanitize(`${name} ${code ?? ''}`)}`)
    }
    return c.body(JSON.stringify(problem), problem.status as ContentfulStatusCode, {
      'content-type': 'application/problem+json',
    })
  }

  return app
}

/** The operation, for metrics: one of a few, whatever the path of the request. */
function operationOf({ req }: Context): string {
  const [, first, , last] = req.path.split('/')
  if (first === 'clients' && last !== undefined) return last in requests ? last : 'other'
  return ['clients', 'healthz', 'metrics'].find((name) => name === first) ?? 'other'
}

/** Reads the JSON body of a request; none counts as an empty object. */
async function readBody<T>(
  { req, env }: Context<Environment>,
  validate: ValidateFunction<T>,
): Promise<T> {
  const text = await readText(env.incoming)
  const isJson = /^application\/json\s*(?:;|$)/i.test(req.header('content-type') ?? '')
  if (text !== '' && !isJson) throw malformed('The body must be application/json', 415)
  const value = text === '' ? {} : parse(text)
  if (validate(value)) return value
  const [{ instancePath = '', message = 'is not as described', params = {} } = {}] =
    validate.errors ?? []
  const { additionalProperty } = params as { readonly additionalProperty?: unknown }
  const which = additionalProperty === undefined ? '' : `: ${JSON.stringify(additionalProperty)}`
  throw malformed(`The body${instancePath && ` at ${instancePath}`} ${message}${which}`)
}

async function readText(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  // A request that is refused gets its response first; then its connection is closed.
  for await (const chunk of incoming.iterator({
    destroyOnReturn: false,
  }) as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > longestBody) {
      throw malformed(`The body has more than ${longestBody} octets`, 413)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Without the message of the parser, which quotes the text.
    throw malformed('The body is not JSON')
  }
}

async function describeClient({ name, configuration, source, dpop }: ServedClient) {
  const { clientId, issuer, scopes = [], resources = [] } = configuration
  const { alg, kid } = source.current ?? {}
  const jkt = await dpop?.jkt()
  return { name, client_id: clientId, issuer, alg, kid, dpop_jkt: jkt, scopes, resources }
}
