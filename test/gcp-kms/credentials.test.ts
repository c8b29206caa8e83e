import { once } from 'node:events'
import { createRequire } from 'node:module'
import { type AddressInfo, connect } from 'node:net'
import { createServer } from 'node:tls'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import type { KeyManagementServiceClient } from '@google-cloud/kms'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { everythingShown, thrown } from '../../packages/core/test/outcome.ts'
import { input } from '../clouds/fixtures.ts'
import type { GcpKms } from '../servers/gcp-kms.js'
import { certificateFor } from '../support/certificate.js'
import { keyPair } from '../support/key-pairs.js'
import { sdkEntry } from '../support/sdk.js'
import { startKms, versionOf } from './fixtures.ts'

type ClientOptions = NonNullable<ConstructorParameters<typeof KeyManagementServiceClient>[0]>

const token = 'ya29.canary-of-an-access-token'

let kms: GcpKms
let name: string
beforeEach(async () => {
  kms = await startKms()
  name = versionOf(kms.createKey({ kind: 'P-256' }))
})

/** The test server behind TLS, since gRPC sends no access token without it. */
async function startTls(): Promise<number> {
  const { privateKey, publicKey } = keyPair('P-256', 7)
  const body = certificateFor(publicKey).toString('base64')
  const server = createServer({
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    cert: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    ALPNProtocols: ['h2'],
  })
  server.on('secureConnection', (socket) => {
    const onward = connect(kms.port, '127.0.0.1')
    socket.pipe(onward).pipe(socket)
    for (const end of [socket, onward]) end.on('error', () => onward.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** Options as the SDK makes them from credentials, with this function for the access token. */
async function withToken(getRequestHeaders: () => Promise<object>): Promise<ClientOptions> {
  const require = createRequire(import.meta.url)
  const sdk = sdkEntry('@google-cloud/kms') ?? require.resolve('@google-cloud/kms')
  const { credentials } = createRequire(sdk)('google-gax').grpc
  const channel = credentials.createSsl(null, null, null, { rejectUnauthorized: false })
  const call = credentials.createFromGoogleCredential({ getRequestHeaders })
  return {
    ...kms.clientOptions(),
    port: await startTls(),
    sslCreds: credentials.combineChannelCredentials(channel, call),
    'grpc.ssl_target_name_override': 'countersign',
  } as ClientOptions
}

describe('an access token', () => {
  test('is sent to the service, and is in no error', async () => {
    const clientOptions = await withToken(async () => ({ authorization: `Bearer ${token}` }))
    const signer = await gcpKmsSigner({ name, clientOptions })
    expect(await signer.sign(input)).toHaveLength(64)
    expect(kms.tokens).toContain(token)
    for (const fault of ['denied', 'unauthenticated', 'throttle', 'flip-bit', 'cut', 'hang']) {
      kms.forget()
      kms.fail(fault)
      const error = await thrown(() => gcpKmsSigner({ name, clientOptions, timeoutSeconds: 0.7 }))
      expect(everythingShown(error)).not.toContain(token)
      expect(everythingShown(signer)).not.toContain(token)
    }
  })

  test('that cannot be obtained is ERR_SIGNER_ACCESS_DENIED, with what to do', async () => {
    const clientOptions = await withToken(async () => {
      throw new Error('invalid_grant: Token has been expired or revoked.')
    })
    await expect(gcpKmsSigner({ name, clientOptions })).rejects.toMatchObject({
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: expect.stringContaining('gcloud auth application-default login'),
      cause: expect.objectContaining({ message: expect.stringContaining('invalid_grant') }),
    })
    expect(kms.requests).toEqual([])
  })

  test('whose server cannot be reached leaves the service unavailable', async () => {
    const clientOptions = await withToken(async () => {
      throw new Error('request to https://oauth2.example.com failed: getaddrinfo ENOTFOUND')
    })
    await expect(gcpKmsSigner({ name, clientOptions })).rejects.toMatchObject({
      code: 'ERR_SIGNER_UNAVAILABLE',
      retryable: true,
    })
  })
})

describe('credentials', () => {
  // An unhandled rejection would end the test run.
  test('in a file that is not there are refused at load', async () => {
    const { sslCreds: _, authClient: __, ...place } = kms.clientOptions()
    const clientOptions = { ...place, keyFilename: '/nonexistent/key.json' }
    await expect(gcpKmsSigner({ name, clientOptions })).rejects.toMatchObject({
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: expect.stringContaining('GOOGLE_APPLICATION_CREDENTIALS'),
      cause: expect.objectContaining({ code: 'ENOENT' }),
    })
    expect(kms.requests).toEqual([])
  })

  test('of another universe than the endpoint are refused at load', async () => {
    const { sslCreds: _, ...place } = kms.clientOptions()
    const authClient = { universeDomain: 'example.com' } as ClientOptions['authClient']
    await expect(
      gcpKmsSigner({ name, clientOptions: { ...place, authClient } }),
    ).rejects.toMatchObject({ code: 'ERR_SIGNER_ACCESS_DENIED', cause: expect.any(Error) })
  })
})
