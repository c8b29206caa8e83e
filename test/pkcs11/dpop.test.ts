import { generateKeyPairSync } from 'node:crypto'
import { pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, beforeAll } from 'vitest'
import { grantsBoundTokens } from '../dpop/every-key.ts'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { on } from './fixtures.ts'

let hsm: SoftHsm
let token: Token

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('proofs')
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await token.importKey({ label: 'agent', id: '01', privateKey })
})

afterAll(() => hsm?.remove())

grantsBoundTokens('SoftHSM', async () => {
  const signer = await pkcs11Signer({ ...on(token, hsm.module), key: { label: 'agent' } })
  return { signer, close: () => signer.close() }
})
