import { inspect } from 'node:util'
import {
  type ClientAuthentication,
  clientSecretBasic,
  clientSecretPost,
  externalAssertion,
  privateKeyJwt,
  type TokenSourceOptions,
} from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import type { Answer, Script, ScriptedRequest } from '../servers/scripted-server.js'
import { redirect, tokenResponse } from '../servers/token-responses.js'
import { es256Signer, messagesOn, refusal, thrown } from './fixtures.ts'
import { startTokenSource } from './servers.ts'

const secret = 'CANARY-secret %+ö'
const assertion = 'CANARY-header.CANARY-claims.CANARY-signature'
const granted = { access_token: 'CANARY-access', refresh_token: 'CANARY-refresh' }

const authentications: [string, () => ClientAuthentication | Promise<ClientAuthentication>][] = [
  ['privateKeyJwt', async () => privateKeyJwt(await es256Signer())],
  ['clientSecretBasic', () => clientSecretBasic(secret)],
  ['clientSecretPost', () => clientSecretPost(() => secret)],
  ['externalAssertion', () => externalAssertion(() => assertion)],
]

/** The credentials in a request, in the forms in which a server may repeat them. */
function credentialsIn({ form, headers }: ScriptedRequest): string[] {
  const basic = headers.authorization?.replace('Basic ', '') ?? ''
  const decoded = Buffer.from(basic, 'base64').toString()
  const credentials = ['client_assertion', 'client_secret'].map((name) => form.get(name) ?? '')
  return [...credentials, ...credentials.map(encodeURIComponent), basic, decoded].filter(
    (one) => one !== '',
  )
}

/** Repeats the whole request in each member of an OAuth error. */
function echo(status: number): Script {
  return (request) => {
    const text = `you sent ${[...credentialsIn(request), request.body].join(' and ')}`
    return Response.json({ error: text, error_description: text, error_uri: text }, { status })
  }
}

/** Repeats the secret as it is after the header is decoded. */
const echoBareSecret: Script = ({ form, headers }) => {
  const pair = Buffer.from(headers.authorization?.replace('Basic ', '') ?? '', 'base64').toString()
  const encoded = pair.slice(pair.indexOf(':') + 1)
  const bare = new URLSearchParams(`=${encoded}`).get('') || form.get('client_secret')
  const text = `your secret is ${bare ?? form.get('client_assertion')}, or ${encoded}`
  return Response.json({ error: 'invalid_client', error_description: text }, { status: 401 })
}

const truncatedResponse: Answer = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' })
  response.write(JSON.stringify(granted), () => response.destroy())
}

/** Sends a malformed chunk after the token. */
const brokenChunk: Answer = (response) => {
  const { socket } = response
  const body = JSON.stringify(granted)
  const head =
    'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n'
  socket?.end(`${head}${body.length.toString(16)}\r\n${body}\r\nZZ${body}\r\n`)
}

const answers: [string, Script][] = [
  ['an error that repeats it, with status 400', echo(400)],
  ['an error that repeats it, with status 401', echo(401)],
  ['an error that repeats it, with status 500', echo(500)],
  ['an error that repeats it, with status 200', echo(200)],
  ['an error that repeats the bare secret', echoBareSecret],
  ['a token of another type', () => tokenResponse({ ...granted, token_type: 'CANARY-type' })],
  ['a DPoP token', () => tokenResponse({ ...granted, token_type: 'DPoP' })],
  ['a token with a line break', () => tokenResponse({ access_token: 'CANARY-access\n' })],
  [
    'a token with other characters than ASCII',
    () => tokenResponse({ access_token: 'CANARY-accéss' }),
  ],
  ['a token with a malformed lifetime', () => tokenResponse({ ...granted, expires_in: 'CANARY' })],
  [
    'a token with a malformed ID token',
    () => tokenResponse({ ...granted, id_token: 'CANARY.id.token' }),
  ],
  ['a token in truncated JSON', () => new Response(`{"access_token":"CANARY-access","re`)],
  [
    'a token in a web page',
    () => new Response('<html>CANARY-access', { headers: { 'content-type': 'text/html' } }),
  ],
  ['a token in a list', () => Response.json([granted])],
  [
    'a token in a body of 2 MB',
    () => tokenResponse({ ...granted, padding: 'x'.repeat(2_000_000) }),
  ],
  ['a token in a redirect', () => redirect('http://127.0.0.1:1/?access_token=CANARY-access')],
  ['a token before the connection is cut', () => truncatedResponse],
  ['a token and then malformed HTTP', () => brokenChunk],
  ['a connection that is closed', () => (response) => response.destroy()],
]

/** Everything that a value shows: message, stack, inspection to any depth, and JSON. */
function everythingShown(value: unknown): string {
  const shown = [inspect(value, { depth: Infinity, showHidden: true, getters: true })]
  for (let error = value; error instanceof Error; error = error.cause) {
    shown.push(error.name, error.message, error.stack ?? '', String(error), JSON.stringify(error))
  }
  return shown.join('\n')
}

/** Runs a token request that fails, and returns everything that it shows, and the credentials in it. */
async function failure(token: Script, options: Partial<TokenSourceOptions>) {
  const { source, as } = await startTokenSource(token, { retries: 0, ...options })
  const messages: unknown[] = []
  const error = await messagesOn('countersign:token', messages, () =>
    messagesOn('countersign:sign', messages, () => thrown(() => source.token())),
  )
  expect(messages.length).toBeGreaterThan(0)
  const shown = [error, messages, source, options.authentication].map(everythingShown).join('\n')
  return { shown, credentials: as.requests.flatMap(credentialsIn) }
}

describe.each(authentications)('with %s', (_name, authenticate) => {
  it.each(answers)('the error about %s shows no secret', async (_what, token) => {
    const { shown, credentials } = await failure(token, { authentication: await authenticate() })
    expect(credentials).not.toEqual([])
    for (const credential of credentials) expect(shown).not.toContain(credential)
    expect(shown).not.toContain('CANARY')
  })
})

describe.each(authentications)('with %s', (_name, authenticate) => {
  it('the error about an HTTP library that puts the request on its errors shows no secret', async () => {
    const { shown, credentials } = await failure(() => tokenResponse(), {
      authentication: await authenticate(),
      async fetch(url, init) {
        const response = await fetch(url, init)
        if (init?.method !== 'POST') return response
        const details = `${init.body} ${JSON.stringify(init.headers)}`
        const cause = Object.assign(new Error(details), { request: details, toJSON: () => details })
        throw Object.assign(new Error(details, { cause }), { config: init, response: granted })
      },
    })
    for (const credential of credentials) expect(shown).not.toContain(credential)
    expect(shown).not.toContain('CANARY')
    expect(shown).toContain('[redacted]')
  })

  it('a token source that works and its diagnostics show no secret', async () => {
    const authentication = await authenticate()
    const { source, as } = await startTokenSource(() => tokenResponse(granted), { authentication })
    const messages: unknown[] = []
    await messagesOn('countersign:token', messages, () =>
      messagesOn('countersign:sign', messages, () => source.token()),
    )
    const shown = [messages, source, authentication].map(everythingShown).join('\n')
    for (const credential of as.requests.flatMap(credentialsIn))
      expect(shown).not.toContain(credential)
    expect(shown).not.toContain('CANARY')
  })
})

it.each([
  ['clientSecretBasic', clientSecretBasic],
  ['clientSecretPost', clientSecretPost],
])('a secret of %s that the server repeats is removed as a whole', async (_name, make) => {
  const { source } = await startTokenSource(echoBareSecret, { authentication: make(secret) })
  const { error_description } = await refusal(() => source.token())
  expect(error_description).toMatch(/^your secret is \[redacted\], or (\[redacted\])?$/)
})

it('a malformed external assertion is not shown', async () => {
  for (const wrong of ['CANARY', 'CANARY.CANARY', 'CANARY.CANARY.CANARY\n', { jwt: 'CANARY' }]) {
    const authentication = externalAssertion(() => wrong as string)
    const { source, tokenRequests } = await startTokenSource(undefined, { authentication })
    const error = await thrown(() => source.token())
    expect(error).toMatchObject({ code: 'ERR_OAUTH_ASSERTION' })
    expect(everythingShown(error)).not.toContain('CANARY')
    expect(tokenRequests()).toEqual([])
  }
})
