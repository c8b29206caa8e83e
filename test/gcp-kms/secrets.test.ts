import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { everythingShown, published, thrown } from '../../packages/core/test/outcome.ts'
import { input } from '../clouds/fixtures.ts'
import type { GcpKms } from '../servers/gcp-kms.js'
import { type Connections, watchConnections } from '../support/connections.js'
import { clientOf, signerOver, startKms, versionOf } from './fixtures.ts'

const canary = 'ya29.canary-of-an-access-token'
const assertion = Buffer.from('canary-of-an-assertion')

let kms: GcpKms
let name: string
let connections: Connections
beforeEach(async () => {
  kms = await startKms()
  name = versionOf(kms.createKey({ kind: 'Ed25519' }))
  connections = watchConnections()
})
afterEach(() => connections.stop())

function expectNoSecret(value: unknown): void {
  const shown = everythingShown(value)
  expect(shown).not.toContain(canary)
  expect(shown).not.toContain(String(assertion))
  expect(shown).not.toContain(assertion.toString('base64url'))
}

const wires = [
  { wire: 'gRPC', options: () => kms.clientOptions() },
  { wire: 'REST', options: () => kms.restOptions(canary) },
] as const

describe.each(wires)('over $wire', ({ options }) => {
  test('no connection leaves the machine', async () => {
    const key = name.replace(/\/cryptoKeyVersions.*/, '')
    const signer = await gcpKmsSigner({ name: key, clientOptions: options() })
    await signer.sign(input)
    expect(connections.abroad()).toEqual([])
  })

  test('no token and no input is in an error or a diagnostics message', async () => {
    const client = clientOf(kms, options())
    const signer = await signerOver(kms, { name, client, timeoutSeconds: 0.5 })
    expectNoSecret(signer)
    for (const fault of [
      ...['throttle', 'unavailable', 'internal', 'denied', 'unauthenticated', 'invalid-argument'],
      ...['flip-bit', 'no-crc', 'answer-for-other-version', 'hang', 'cut', 'html', 'unimplemented'],
    ]) {
      kms.forget()
      if (fault === 'answer-for-other-version')
        kms.createVersion(name.split('/cryptoKeyV')[0] ?? '', { nth: 1 })
      kms.fail(fault)
      const messages = await published(async () => {
        expectNoSecret(await thrown(() => signer.sign(assertion)))
      })
      expect(messages).toHaveLength(1)
      expectNoSecret(messages)
      expectNoSecret(await thrown(() => signerOver(kms, { name, client, timeoutSeconds: 0.5 })))
    }
  })
})

test('what an access token is got with is not in the error when there comes none', async () => {
  const tokens = createServer((_, response) =>
    response
      .writeHead(400, { 'content-type': 'application/json' })
      .end('{"error":"invalid_grant"}'),
  )
  await new Promise<void>((resolve) => tokens.listen(0, '127.0.0.1', resolve))
  const { port } = tokens.address() as AddressInfo
  // As the SDK itself finds it.
  const ofBackend = createRequire(new URL('../../packages/gcp-kms/package.json', import.meta.url))
  const ofSdk = createRequire(ofBackend.resolve('@google-cloud/kms'))
  const { UserRefreshClient } = createRequire(ofSdk.resolve('google-gax'))('google-auth-library')
  const user = new UserRefreshClient({
    clientId: 'client',
    clientSecret: canary,
    refreshToken: canary,
    endpoints: { oauth2TokenUrl: `http://127.0.0.1:${port}/token` },
  })
  const clientOptions = { ...kms.restOptions(''), authClient: user as never }
  const error = await thrown(() => gcpKmsSigner({ name, clientOptions, timeoutSeconds: 5 }))
  tokens.close()
  expect(error).toMatchObject({ code: 'ERR_SIGNER_ACCESS_DENIED' })
  expectNoSecret(error)
})
