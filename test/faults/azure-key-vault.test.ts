import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import { keyPair } from '../support/key-pairs.js'
import { sdkEntry } from '../support/sdk.js'
import { type AzureKeyVaultTarget, azureKeyVault } from './azure-key-vault.ts'
import { type FaultyService, testFaults } from './suite.ts'

const kinds = {
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  PS256: 'RSA-2048',
  RS256: 'RSA-2048',
} as const

/** A P-521 key with a coordinate that begins with a zero octet. */
function keyWithZero() {
  for (;;) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-521' })
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
    if (x.startsWith('AA') || y.startsWith('AA')) return privateKey
  }
}

async function start(): Promise<FaultyService<AzureKeyVaultTarget>> {
  const vault = await startAzureKeyVault()
  let made = 0
  return {
    backend: 'azure-key-vault',
    secrets: [vault.token],
    isWorkspaceSdk: sdkEntry('@azure/keyvault-keys') === undefined,
    createKey({ alg, byAlias }) {
      const name = `agent-${++made}`
      const kind = kinds[alg]
      const privateKey = alg === 'ES512' ? keyWithZero() : keyPair(kind).privateKey
      const other = keyPair(kind, 1).privateKey
      vault.createKey(name, { privateKey: other })
      const { id, versionlessId } = vault.createKey(name, { privateKey })
      return {
        target: { vault, name, id, other },
        publicKey: createPublicKey(privateKey),
        open: ({ retries = true, ...options }) =>
          azureKeyVaultSigner({
            keyId: byAlias ? versionlessId : id,
            alg,
            credential: vault.credential,
            // Short delays; the number of retries is the SDK's default.
            clientOptions: {
              ...vault.clientOptions,
              retryOptions: {
                retryDelayInMs: 1,
                maxRetryDelayInMs: 2,
                ...(retries ? {} : { maxRetries: 0 }),
              },
            },
            ...options,
          }),
      }
    },
    calls: () => vault.calls().map((operation) => (operation === 'get' ? 'key' : 'signature')),
    reset() {
      vault.reset()
      vault.requests.length = 0
    },
    close: () => vault.close(),
  }
}

testFaults('Azure Key Vault', azureKeyVault, start)
