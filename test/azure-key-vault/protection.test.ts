import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { expect, test } from 'vitest'
import { openVaults, via } from './fixtures.ts'

const { vault, hsm } = await openVaults()

test.each(['P-256', 'RSA-2048'] as const)(
  'a %s key says whether it is kept in an HSM',
  async (kind) => {
    const inSoftware = vault.createKey('agent', { kind })
    const premium = vault.createKey('premium', { kind, hsm: true })
    const managed = hsm.createKey('agent', { kind })
    const said = async (keyId: string, at: typeof vault) =>
      (await azureKeyVaultSigner({ keyId, ...via(at) })).protection
    expect(await said(inSoftware.id, vault)).toBe('software')
    expect(await said(premium.id, vault)).toBe('hsm')
    expect(await said(managed.id, hsm)).toBe('hsm')
  },
)
