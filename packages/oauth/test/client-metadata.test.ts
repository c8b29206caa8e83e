import { generateKeyPairSync } from 'node:crypto'
import { rotating, type SignerSource } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { type ClientMetadataOptions, clientMetadata } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { es256Signer } from './fixtures.ts'

const current = await es256Signer()
const next = await es256Signer()
const rsaKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const rsa = await localSigner({ key: rsaKey, alg: 'RS256' })

const clientId = 'https://agent.example.com/client.json'
const self = { clientId, clientName: 'Billing agent' }
const document = (options: Partial<ClientMetadataOptions> = {}, source: SignerSource = current) =>
  clientMetadata(source, { ...self, ...options })

describe('a client metadata document', () => {
  it('names the client, its method and its keys', () => {
    expect(document()).toEqual({
      client_id: clientId,
      client_name: 'Billing agent',
      grant_types: ['client_credentials'],
      response_types: [],
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys: [current.publicJwk] },
    })
    expect(Object.isFrozen(document())).toBe(true)
  })

  it('has the redirect URIs of a client that signs users in', () => {
    const redirectUris = ['https://app.example.com/callback', 'http://127.0.0.1:8000/callback']
    expect(document({ redirectUris, scope: 'read write' })).toMatchObject({
      redirect_uris: redirectUris,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      scope: 'read write',
    })
  })

  it('has no "redirect_uris" without redirect URIs, since some servers refuse an empty list', () => {
    expect(document({ redirectUris: [] })).not.toHaveProperty('redirect_uris')
  })

  it.each(['redirectUris', 'grantTypes', 'members'])('refuses "%s" given as a string', (option) => {
    expect(() => document({ [option]: 'authorization_code' })).toThrow(TypeError)
  })

  it('has the keys, or the URL of the keys', () => {
    const both = clientMetadata([current, next], self)
    expect(both.jwks?.keys.map(({ kid }) => kid)).toEqual([current.kid, next.kid])
    const jwksUri = 'https://agent.example.com/jwks.json'
    const elsewhere = clientMetadata([current, next], { ...self, jwksUri })
    expect(elsewhere.jwks_uri).toBe(jwksUri)
    expect(elsewhere).not.toHaveProperty('jwks')
    expect(elsewhere.token_endpoint_auth_signing_alg).toBe('ES256')
  })

  it('names no algorithm while one key replaces another with a different algorithm', () => {
    const both = clientMetadata([current, rsa], self)
    expect(both).not.toHaveProperty('token_endpoint_auth_signing_alg')
    expect(both.jwks?.keys).toHaveLength(2)
  })

  it('has the current key of a rotating signer', async () => {
    let named = current
    const source = rotating(async () => named)
    expect(() => document({}, source)).toThrow(/await its ready\(\)/)
    await source.ready()
    expect(document({}, source).jwks?.keys).toEqual([current.publicJwk])
    named = rsa
    await source.reload()
    expect(document({}, source)).toMatchObject({
      token_endpoint_auth_signing_alg: 'RS256',
      jwks: { keys: [rsa.publicJwk] },
    })
  })

  it('has further members, except those that are undefined', () => {
    const members = {
      logo_uri: 'https://agent.example.com/logo.png',
      'client_name#de': 'Rechnungsagent',
      contacts: ['ops@example.com'],
      software_id: undefined,
    }
    const made = document({ members })
    expect(made).toMatchObject({ logo_uri: members.logo_uri, contacts: members.contacts })
    expect(made).not.toHaveProperty('software_id')
  })
})

describe('a client identifier', () => {
  it.each(['https://a.example/c', 'https://a.example:8443/c.json', 'https://a.example/x/%7Ey/'])(
    'may be %s',
    (clientId) => {
      expect(document({ clientId }).client_id).toBe(clientId)
    },
  )

  it.each<[string | undefined, RegExp]>([
    [undefined, /must be a URL/],
    ['', /must be a URL/],
    ['billing-agent', /must be a URL/],
    ['http://agent.example.com/client.json', /must be an https URL/],
    ['http://127.0.0.1/client.json', /must be an https URL/],
    ['file:///client.json', /must be an https URL/],
    ['https://agent.example.com', /must have a path/],
    ['https://agent.example.com/', /must have a path/],
    ['https://me@agent.example.com/c', /no user name and no password/],
    ['https://:pw@agent.example.com/c', /no user name and no password/],
    ['https://@agent.example.com/c', /must be written as https:\/\/agent\.example\.com\/c$/],
    ['https://agent.example.com/c#', /no fragment/],
    ['https://agent.example.com/c#x', /no fragment/],
    ['https://agent.example.com/c?', /no query/],
    ['https://agent.example.com/c?v=1', /no query/],
    ['https://agent.example.com/a/../c', /no "\."/],
    ['https://agent.example.com/./c', /no "\."/],
    ['https://agent.example.com/a/..', /no "\."/],
    ['https://agent.example.com/a/%2E%2e/c', /no "\."/],
    ['https://agent.example.com/a/.%2e/c', /no "\."/],
    ['https://Agent.example.com/c', /must be written as https:\/\/agent\.example\.com\/c$/],
    ['HTTPS://agent.example.com/c', /must be written as/],
    ['https://agent.example.com:443/c', /must be written as https:\/\/agent\.example\.com\/c$/],
    ['https://agent.example.com\\c', /must be written as/],
    ['https://agent.example.com/a b', /must be written as https:\/\/agent\.example\.com\/a%20b$/],
    [' https://agent.example.com/c', /must be written as/],
    ['https://agent.example.com/c\n', /must be written as/],
    ['https://ägent.example.com/c', /must be written as https:\/\/xn--/],
  ])('may not be %j', (clientId, why) => {
    const call = () => document({ clientId: clientId as string })
    expect(call).toThrow(TypeError)
    expect(call).toThrow(why)
  })

  it('is not shown in the error with its password', () => {
    const call = () => document({ clientId: 'https://me:MARKER@agent.example.com/c' })
    expect(call).toThrow(TypeError)
    expect(call).not.toThrow(/MARKER/)
  })
})

describe('no document is made', () => {
  it.each<[string, object, RegExp]>([
    ['without a name', { clientName: undefined }, /"clientName"/],
    ['with a redirect to http', { redirectUris: ['http://app.example.com/cb'] }, /https URL/],
    ['with a redirect to an app', { redirectUris: ['com.example.app:/cb'] }, /https URL/],
    ['with a redirect to a script', { redirectUris: ['javascript:alert(1)'] }, /https URL/],
    ['with a fragment in a redirect', { redirectUris: ['https://a.example/#x'] }, /no fragment/],
    ['with a password in a redirect', { redirectUris: ['https://a:b@a.example/'] }, /no user name/],
    ['with a string as redirect URIs', { redirectUris: 'https://a.example/' }, /must be a list/],
    [
      'for authorization_code without a redirect URI',
      { grantTypes: ['authorization_code'] },
      /go together/,
    ],
    [
      'with a redirect URI for another grant',
      { grantTypes: ['client_credentials'], redirectUris: ['https://a.example/'] },
      /go together/,
    ],
    ['for an empty list of grants', { grantTypes: [] }, /must name a grant type/],
    ['for an empty grant', { grantTypes: [''] }, /must be a list/],
    ['with a jwksUri on http', { jwksUri: 'http://agent.example.com/jwks' }, /"jwksUri".*https/],
    ['with a password in the jwksUri', { jwksUri: 'https://a:b@a.example/jwks' }, /no user name/],
    ['with an empty scope', { scope: '' }, /"scope"/],
    ['with a line break in the scope', { scope: 'a\nb' }, /"scope"/],
    ['with a client secret', { members: { client_secret: 'MARKER' } }, /everyone can read/],
    [
      'with the expiry of a client secret',
      { members: { client_secret_expires_at: 0 } },
      /everyone can read/,
    ],
    [
      'with a registration access token',
      { members: { registration_access_token: 'MARKER' } },
      /everyone can read/,
    ],
    [
      'with another authentication method',
      { members: { token_endpoint_auth_method: 'client_secret_post' } },
      /cannot be set or replaced/,
    ],
    ['with other keys', { members: { jwks: { keys: [] } } }, /cannot be set or replaced/],
    ['with another identifier', { members: { client_id: 'x' } }, /cannot be set or replaced/],
    ['with a logo on http', { members: { logo_uri: 'http://a.example/l' } }, /https/],
    ['with a localised script URL', { members: { 'tos_uri#de': 'javascript:1' } }, /https/],
    ['with a list as members', { members: [] }, /"members" must be an object/],
    ['of more than 5000 octets', { members: { contacts: ['x'.repeat(5000)] } }, /octets/],
  ])('%s', (_what, options, why) => {
    const call = () => document(options as Partial<ClientMetadataOptions>)
    expect(call).toThrow(TypeError)
    expect(call).toThrow(why)
    expect(call).not.toThrow(/MARKER/)
  })

  it.each([[[]], [undefined], [{}], [[{}]], [current.publicJwk]])('for %j', (source) => {
    expect(() => clientMetadata(source as never, self)).toThrow(TypeError)
  })

  it('with a private member in a key', () => {
    const publicJwk = { ...current.publicJwk, d: 'MARKER' }
    expect(() => document({}, { ...current, publicJwk })).toThrow(/private member/)
  })

  it('above 5000 octets', () => {
    const document5000 = (more: number) => {
      const members = (length: number) => ({ contacts: ['x'.repeat(length)] })
      const octets = Buffer.byteLength(JSON.stringify(document({ members: members(0) })))
      return document({ members: members(5000 - octets + more) })
    }
    expect(JSON.stringify(document5000(0))).toHaveLength(5000)
    expect(() => document5000(1)).toThrow(/has 5001 octets/)
  })

  it('with more keys than fit in it; a jwksUri solves that', async () => {
    const sources = await Promise.all(
      Array.from({ length: 12 }, (_, n) => localSigner({ key: rsaKey, alg: 'RS256', kid: `${n}` })),
    )
    expect(() => clientMetadata(sources, self)).toThrow(/publish the keys at a "jwksUri"/)
    const jwksUri = 'https://agent.example.com/jwks.json'
    expect(clientMetadata(sources, { ...self, jwksUri }).jwks_uri).toBe(jwksUri)
  })
})
