import { jwks, rotating, type Signer } from '@countersign/core'
import { clientMetadata, privateKeyJwt, tokenSource } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { es256Signer, refusal } from '../oauth/fixtures.ts'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { closing, startLoad, startPublisher } from './fixtures.ts'

const site = 'https://agent.example'
const clientId = `${site}/client.json`
const jwksUri = `${site}/jwks.json`
const self = { clientId, clientName: 'Billing agent' }

/** An authorization server without registered clients, and a web site that publishes a client. */
async function start() {
  const publisher = await startPublisher()
  const as = closing(await startAuthorizationServer({ hosts: { [site]: publisher.origin } }))
  return { publisher, as }
}

describe('a client that was never registered', () => {
  it('is identified by its metadata document, with its keys in it', async () => {
    const { publisher, as } = await start()
    const signer = await es256Signer()
    publisher.publish('/client.json', clientMetadata(signer, self))
    const authentication = privateKeyJwt(signer)
    await tokenSource({ issuer: as.issuer, clientId, authentication }).token()
    expect(as.tokenRequests[0]?.assertion?.claims).toMatchObject({ iss: clientId, sub: clientId })
    const stranger = privateKeyJwt(await es256Signer())
    const refused = tokenSource({ issuer: as.issuer, clientId, authentication: stranger })
    expect(await refusal(() => refused.token())).toMatchObject({ error: 'invalid_client' })
  })

  it.each([
    ['in the document', {}],
    ['beside it', { jwksUri }],
  ])('replaces its key without a failure under load, with its keys %s', async (_where, where) => {
    const { publisher, as } = await start()
    const [current, next] = [await es256Signer(), await es256Signer()]
    let named: Signer = current
    const source = closing(rotating(async () => named))
    await source.ready()
    publisher.publish('/client.json', clientMetadata([source, next], { ...self, ...where }))
    publisher.publish('/jwks.json', jwks(source, next))
    const load = startLoad(as, clientId, privateKeyJwt(source))
    await load.more(30)
    named = next
    await source.reload()
    await load.more(30)
    await load.end()
    expect(as.tokenRequests.at(-1)?.assertion?.header.kid).toBe(next.kid)
    expect(publisher.fetches('/jwks.json') > 0).toBe('jwksUri' in where)
  })
})
