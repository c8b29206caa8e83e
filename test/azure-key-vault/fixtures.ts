import { constants, type KeyObject, verify } from 'node:crypto'
import type { AzureKeyVaultSignerOptions } from '@countersign/azure-key-vault'
import type { JwsAlgorithm } from '@countersign/core'
import { afterAll, expect } from 'vitest'
import { input } from '../clouds/fixtures.ts'
import { type AzureKeyVault, startAzureKeyVault } from '../servers/azure-key-vault.js'
import { watchConnections } from '../support/connections.js'
import type { KeyKind } from '../support/key-pairs.js'

const rsa: readonly JwsAlgorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']

/** The algorithms of each kind of key, the default first. */
export const algorithmsOf: Readonly<Partial<Record<KeyKind, readonly JwsAlgorithm[]>>> = {
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
  secp256k1: ['ES256K'],
  'RSA-2048': rsa,
  'RSA-3072': rsa,
  'RSA-4096': rsa,
}

/** Every kind with every algorithm of it. */
export const every: readonly { kind: KeyKind; alg: JwsAlgorithm }[] = Object.entries(
  algorithmsOf,
).flatMap(([kind, algs]) => algs.map((alg) => ({ kind: kind as KeyKind, alg })))

/** Whether a signature over {@link input} is that of a key, by node:crypto alone. */
export function isSignature(alg: string, key: KeyObject, signature: Uint8Array): boolean {
  const hash = alg === 'ES256K' ? 'sha256' : `sha${alg.slice(2)}`
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: Number(alg.slice(2)) / 8 }
  const how = alg.startsWith('PS') ? pss : { dsaEncoding: 'ieee-p1363' as const }
  return verify(hash, input, { key, ...how }, signature)
}

/** Options that reach the test server, with short delays between retries. */
export function via(
  vault: AzureKeyVault,
): Pick<AzureKeyVaultSignerOptions, 'credential' | 'clientOptions'> {
  const retryOptions = { retryDelayInMs: 1, maxRetryDelayInMs: 2 }
  return {
    credential: vault.credential,
    clientOptions: { ...vault.clientOptions, retryOptions },
  }
}

/**
 * A Key Vault and a Managed HSM for the tests of a file, which end with it. Nothing that these tests do may leave the
 * machine.
 */
export async function openVaults(): Promise<{ vault: AzureKeyVault; hsm: AzureKeyVault }> {
  const connections = watchConnections()
  const vault = await startAzureKeyVault()
  const hsm = await startAzureKeyVault({ managedHsm: true })
  afterAll(async () => {
    await vault.close()
    await hsm.close()
    const abroad = connections.abroad()
    connections.stop()
    expect(abroad).toEqual([])
  })
  return { vault, hsm }
}
