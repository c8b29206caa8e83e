// Runs what docs/grants.md shows for each platform, against servers on loopback.
import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { publicClient, tokenSource, workloadIdentity } from '@countersign/oauth'
import { expect, onTestFinished, test } from 'vitest'
import { markdownBlocks } from '../docs/code-blocks.ts'
import { closing, thrown } from '../oauth/fixtures.ts'
import { numberedTokens } from '../oauth/servers.ts'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedServer } from '../servers/scripted-server.js'

const page = 'docs/grants.md'
const text = readFileSync(new URL(`../../${page}`, import.meta.url), 'utf8')

/** The grant of the code block that mentions an environment variable. */
function documentedGrant(variable: string): ReturnType<typeof workloadIdentity> {
  const block = markdownBlocks(page, text).find(({ lines }) => lines.join().includes(variable))
  const source = (block?.lines ?? []).join('\n')
  // Its only types are those of the answers.
  const javaScript = source.replace(/^import .*/, '').replaceAll(/ as \{[^}]*\}/g, '')
  const body = javaScript.replace('const grant =', 'return')
  return new Function('workloadIdentity', body)(workloadIdentity)
}

const jwt = 'header.claims.signature'

test.for([
  {
    platform: 'GitHub Actions',
    variables: (url: string) => ({
      ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: 's3cret',
    }),
    accepts: ({ authorization }: IncomingHttpHeaders) => authorization === 'Bearer s3cret',
    answer: () => Response.json({ count: 1, value: jwt }),
    query: (issuer: string) => ({ 'api-version': '2.0', audience: issuer }),
  },
  {
    platform: 'Google Cloud',
    variables: (url: string) => ({ GCE_METADATA_HOST: new URL(url).host }),
    accepts: (headers: IncomingHttpHeaders) => headers['metadata-flavor'] === 'Google',
    answer: () => new Response(jwt),
    query: (issuer: string) => ({ audience: issuer }),
  },
  {
    platform: 'Azure',
    variables: (url: string) => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: url }),
    accepts: ({ metadata }: IncomingHttpHeaders) => metadata === 'true',
    answer: () => Response.json({ access_token: jwt, token_type: 'Bearer' }),
    query: () => ({ 'api-version': '2018-02-01', resource: 'api://billing-as' }),
  },
])('$platform: the documented function gets a token of the platform', async (platform) => {
  const queries: Record<string, string>[] = []
  let fails = false
  const server = closing(
    await startScriptedServer(({ headers, url }) => {
      queries.push(Object.fromEntries(new URL(url, 'http://platform').searchParams))
      if (fails || !platform.accepts(headers)) return new Response(null, { status: 403 })
      return platform.answer()
    }),
  )
  const variables = platform.variables(server.url)
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name]
    process.env[name] = value
    onTestFinished(() => {
      if (before === undefined) delete process.env[name]
      else process.env[name] = before
    })
  }
  const as = closing(
    await startScriptedAuthorizationServer({
      metadata: { token_endpoint_auth_methods_supported: ['none'] },
      token: numberedTokens(),
    }),
  )
  const grant = documentedGrant(Object.keys(variables)[0] ?? '')
  const client = { issuer: as.url, clientId: 'workload', authentication: publicClient() }
  const source = tokenSource({ ...client, grant })
  expect(await source.token()).toBe('token-1')
  expect(as.requests.at(-1)?.form.get('assertion')).toBe(jwt)
  expect(queries).toEqual([platform.query(as.url)])
  fails = true
  source.invalidate('token-1')
  expect(await thrown(() => source.token())).toMatchObject({
    message: expect.stringMatching(/403/),
  })
})
