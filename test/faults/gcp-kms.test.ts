import { createPublicKey } from 'node:crypto'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { startGcpKms } from '../servers/gcp-kms.js'
import { keyPair } from '../support/key-pairs.js'
import { sdkEntry } from '../support/sdk.js'
import { type GcpKmsScene, gcpKms } from './gcp-kms.js'
import type { Stage } from './stage.ts'
import { testFaults } from './suite.ts'

const algorithms = {
  ES256: 'EC_SIGN_P256_SHA256',
  ES384: 'EC_SIGN_P384_SHA384',
  // Neither has Google P-521, nor is it asked for.
  ES512: '',
  PS256: 'RSA_SIGN_PSS_2048_SHA256',
  RS256: 'RSA_SIGN_PKCS1_3072_SHA256',
} as const

/** The settings of the SDK in which no status is one to try again for. */
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

async function start(): Promise<Stage<GcpKmsScene>> {
  const kms = await startGcpKms()
  const clients: KeyManagementServiceClient[] = []
  const clientWith = (options: object) => {
    const client = new KeyManagementServiceClient({ ...kms.clientOptions(), ...options })
    clients.push(client)
    return client
  }
  return {
    backend: 'gcp-kms',
    isUsualSdk: sdkEntry('@google-cloud/kms') === undefined,
    prepare({ alg, byAlias }) {
      const key = kms.createKey({ algorithm: algorithms[alg] })
      kms.createVersion(key, { nth: 1, state: 'DISABLED' })
      const version = `${key}/cryptoKeyVersions/1`
      const { privateKey } = kms.version(version)
      return {
        scene: { kms, key, version },
        publicKey: createPublicKey(privateKey ?? keyPair('P-256').privateKey),
        async open({ retries = true, ...options }) {
          // A connection that an earlier fault has broken would be another fault.
          const client = clientWith(retries ? {} : { clientConfig: withoutRetries })
          return gcpKmsSigner({ name: byAlias ? key : version, client, ...options })
        },
      }
    },
    calls: () =>
      kms.requests.map(({ method }) =>
        method === 'AsymmetricSign' ? 'signature' : method === 'GetPublicKey' ? 'key' : 'list',
      ),
    mend: () => kms.forget(),
    async close() {
      await Promise.all(clients.map((client) => client.close()))
      await kms.close()
    },
  }
}

testFaults('Google Cloud KMS', gcpKms, start)
