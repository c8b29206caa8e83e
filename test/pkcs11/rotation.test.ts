import { type RotationMessage, rotating } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { privateKeyJwt } from '@countersign/oauth'
import { pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { messagesOn } from '../oauth/fixtures.ts'
import { closing, startLoad, startPublishedClient } from '../rotation/fixtures.ts'
import { keyPair } from '../support/key-pairs.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { until } from '../support/until.js'
import { modes, on } from './fixtures.ts'

let hsm: SoftHsm
let token: Token

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('rotation')
})

afterAll(() => hsm?.remove())

const next = keyPair('P-256', 1).privateKey

describe.each(modes)('a token object that is replaced, its module $where', ({ isolate }) => {
  const label = `agent-${isolate}`
  const ids = isolate ? ['a1', 'a2'] : ['b1', 'b2']
  const load = () => pkcs11Signer({ ...on(token, hsm.module), key: { label }, isolate })

  test('fails no token request under load', async () => {
    const [oldId = '', newId = ''] = ids
    await token.importKey({ privateKey: keyPair('P-256', 0).privateKey, label, id: oldId })
    const source = closing(rotating(load))
    await source.ready()
    const current = source.current?.kid
    const successor = await localSigner({ key: next })
    const { as } = await startPublishedClient(source, successor)
    const loads: RotationMessage[] = []
    await messagesOn('countersign:rotation', loads, async () => {
      const clients = startLoad(as, 'agent', privateKeyJwt(source), 4)
      await clients.more(40)
      await token.importKey({ privateKey: next, label, id: newId })
      await clients.more(10)
      await token.deleteObject({ kind: 'privkey', id: oldId })
      await token.deleteObject({ kind: 'pubkey', id: oldId })
      await until(() => source.current?.kid === successor.kid, 20)
      await clients.more(40)
      await clients.end()
    })
    expect(loads.filter(({ outcome }) => outcome === 'replaced')).toMatchObject([
      { cause: 'failure', kid: successor.kid, previousKid: current },
    ])
    const kids = as.tokenRequests.map(({ assertion }) => assertion?.header.kid)
    expect(new Set(kids)).toEqual(new Set([current, successor.kid]))
    expect(as.tokenRequests.filter(({ status }) => status !== 200)).toEqual([])
  }, 60_000)
})
