import { services } from '../clouds/services.ts'
import { es256Signer } from '../oauth/fixtures.ts'
import { grantsBoundTokens } from './every-key.ts'

grantsBoundTokens('a local key', async () => ({ signer: await es256Signer(), async close() {} }))

for (const name of ['AWS KMS', 'Google Cloud KMS over gRPC', 'Azure Key Vault'] as const) {
  grantsBoundTokens(name, async () => {
    const service = await services[name]()
    return { signer: await service.load(), close: () => service.close() }
  })
}
