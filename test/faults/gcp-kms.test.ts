import { createPublicKey } from 'node:crypto'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { startGcpKms } from '../servers/gcp-kms.js'
import { keyPair } from '../support/key-pairs.js'
import { sdkEntry } from '../support/sdk.js'
import { type GcpKmsTarget, gcpKms } from './gcp-kms.ts'
import { type FaultyService, testFaults } from './suite.ts'

const algorithms = {
  ES256: 'EC_SIGN_P256_SHA256',
  ES384: 'EC_SIGN_P384_SHA384',
  // Google has no P-521, and no fault needs it.
  ES512: '',
  PS256: 'RSA_SIGN_PSS_2048_SHA256',
  RS256: 'RSA_SIGN_PKCS1_3072_SHA256',
} as const

/** Settings of the SDK in which it retries no status. */
const withoutRetries = {
  interfaces: {
    'google.cloud.kms.v1.KeyManagementService': {
      retry_codes: { none: [] },
      retry_params: {},
      methods: {
        GetPublicKey: { retry_codes_name: 'none' },
        AsymmetricSign: { retry_codes_name: 'none' },
      },
    },
  },
}

async function start(): Promise<FaultyService<GcpKmsTarget>> {
  const kms = await startGcpKms()
  const clients: KeyManagementServiceClient[] = []
  const clientWith = (options: object) => {
    const client = new KeyManagementServiceClient({ ...kms.clientOptions(), ...options })
    clients.push(client)
    return client
  }
  return {
    backend: 'gcp-kms',
    // gRPC sends no access token without TLS; test/gcp-kms tests that.
    secrets: [],
    isWorkspaceSdk: sdkEntry('@google-cloud/kms') === undefined,
    createKey({ alg, byAlias }) {
      const key = kms.createKey({ algorithm: algorithms[alg] })
      kms.createVersion(key, { nth: 1, state: 'DISABLED' })
      const version = `${key}/cryptoKeyVersions/1`
      const { privateKey } = kms.version(version)
      return {
        target: { kms, key, version },
        publicKey: createPublicKey(privateKey ?? keyPair('P-256').privateKey),
        async open({ retries = true, ...options }) {
          // Not shared, since an earlier fault may have broken its connection.
          const client = clientWith(retries ? {} : { clientConfig: withoutRetries })
          return gcpKmsSigner({ name: byAlias ? key : version, client, ...options })
        },
      }
    },
    calls: () =>
      kms.requests.map(({ method }) =>
        method === 'AsymmetricSign' ? 'signature' : method === 'GetPublicKey' ? 'key' : 'list',
      ),
    reset: () => kms.forget(),
    async close() {
      await Promise.all(clients.map((client) => client.close()))
      await kms.close()
    },
  }
}

testFaults('Google Cloud KMS', gcpKms, start)
