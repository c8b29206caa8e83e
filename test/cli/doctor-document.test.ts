import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { clientMetadata } from '@countersign/oauth'
import { expect, test } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedServer } from '../servers/scripted-server.js'
import { errorResponse } from '../servers/token-responses.js'
import { keyPair } from '../support/key-pairs.js'
import { closing, examine, failedStep } from './doctor-fixtures.ts'

const signer = await localSigner({ key: keyPair('P-256').privateKey })
const other = await localSigner({ key: keyPair('P-256', 1).privateKey })

type Document = Readonly<Record<string, unknown>>

/** Diagnoses a client with this document at an authorization server that refuses every client. */
async function examineClient(
  change: (document: Document, url: string) => unknown,
  { supported = true }: { supported?: boolean } = {},
) {
  const site = closing(
    await startScriptedServer(({ path }) => {
      if (path === '/jwks') return Response.json(jwks(other))
      const clientId = `${site.url}/client`
      const document: Document = {
        client_id: clientId,
        client_name: 'Billing agent',
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: jwks(signer),
      }
      const changed = change(document, site.url)
      return changed === undefined ? new Response(null, { status: 404 }) : Response.json(changed)
    }),
  )
  const as = closing(
    await startScriptedAuthorizationServer({
      metadata: { client_id_metadata_document_supported: supported },
      token: () => errorResponse('invalid_client', { status: 401 }),
    }),
  )
  const clientId = `${site.url}/client`
  return { broken: failedStep(await examine(signer, { issuer: as.url, clientId })), site, as }
}

test.each([
  ['is not there', () => undefined, 'client', 'HTTP status 404'],
  ['is of another client', (it: Document) => ({ ...it, client_id: 'x' }), 'client', 'client "x"'],
  [
    'has another method',
    (it: Document) => ({ ...it, token_endpoint_auth_method: 'none' }),
    'client',
    'method "none"',
  ],
  [
    'has another algorithm',
    (it: Document) => ({ ...it, token_endpoint_auth_signing_alg: 'RS256' }),
    'algorithm',
    'algorithm "RS256"',
  ],
  ['has another key', (it: Document) => ({ ...it, jwks: jwks(other) }), 'key', other.kid],
  [
    'has the key under another name',
    (it: Document) => ({ ...it, jwks: { keys: [{ ...signer.publicJwk, kid: 'mine' }] } }),
    'key',
    'this key as "mine"',
  ],
  [
    'names a place with another key',
    ({ jwks: _, ...it }: Document, url: string) => ({ ...it, jwks_uri: `${url}/jwks` }),
    'key',
    other.kid,
  ],
  ['has no key', ({ jwks: _, ...it }: Document) => it, 'key', 'the keys []'],
] as const)('a document that %s is the one cause, after one token request', async (...given) => {
  const [_what, change, candidate, seen] = given
  const { broken, as } = await examineClient(change)
  expect(broken).toMatchObject({ name: 'token', candidates: [candidate] })
  expect(broken.found).toMatch(seen)
  expect(as.credentials).toHaveLength(1)
})

test('a document that is right, as core makes it, is no cause', async () => {
  const made = (_document: Document, url: string) => ({
    ...clientMetadata(signer, { clientId: 'https://agent.example/client', clientName: 'Agent' }),
    client_id: `${url}/client`,
  })
  const { broken } = await examineClient(made)
  expect(broken.candidates).toEqual(['client', 'key', 'algorithm'])
})

test('no document is read where the server takes no such clients', async () => {
  const { broken, site } = await examineClient(() => undefined, { supported: false })
  expect(broken.candidates).toEqual(['client', 'key', 'algorithm'])
  expect(site.requests).toEqual([])
})
