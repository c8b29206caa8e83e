import { KMSClient } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { startAwsKms } from '../servers/aws-kms.js'
import { sdkEntry } from '../support/sdk.js'
import { type AwsKmsTarget, awsKms } from './aws-kms.ts'
import { type FaultyService, testFaults } from './suite.ts'

const kinds = {
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  PS256: 'RSA-2048',
  RS256: 'RSA-2048',
} as const

const credentials = {
  accessKeyId: 'AKIACANARY',
  secretAccessKey: 'canary-of-a-secret-access-key',
  sessionToken: 'canary-of-a-session-token',
}

async function start(): Promise<FaultyService<AwsKmsTarget>> {
  const kms = await startAwsKms()
  let made = 0
  return {
    backend: 'aws-kms',
    secrets: ['canary', 'AWS4-HMAC-SHA256', 'Signature='],
    isWorkspaceSdk: sdkEntry('@aws-sdk/client-kms') === undefined,
    createKey({ alg, byAlias }) {
      const key = kms.createKey(kinds[alg], { nth: 0 })
      const other = kms.createKey(kinds[alg], { nth: 1 })
      const alias = `alias/agent-${++made}`
      kms.setAlias(alias, key)
      const keyId = byAlias ? alias : key.arn
      return {
        target: { kms, key, other, alias },
        publicKey: key.publicKey,
        open({ retries = true, ...options }) {
          const client = new KMSClient({
            ...kms.client,
            credentials,
            ...(retries ? {} : { maxAttempts: 1 }),
          })
          return awsKmsSigner({ keyId, client, alg: alg === 'PS256' ? alg : undefined, ...options })
        },
      }
    },
    calls: () => kms.requests.map(({ operation }) => (operation === 'Sign' ? 'signature' : 'key')),
    reset: () => kms.forget(),
    close: () => kms.close(),
  }
}

testFaults('AWS KMS', awsKms, start)
