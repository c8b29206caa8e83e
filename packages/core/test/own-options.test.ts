import { createSigner, type Signer } from '@countersign/core'
import { loadSigner } from '@countersign/core/backend'
import { afterEach, expect, it } from 'vitest'
import { backend } from './backend.ts'
import { refusal } from './outcome.ts'

const pollution = { verify: false, kid: 'polluted', timeoutSeconds: 0.001 }

afterEach(() => {
  for (const option of Object.keys(pollution)) Reflect.deleteProperty(Object.prototype, option)
})

it.each<[string, (options?: object) => Signer | Promise<Signer>]>([
  ['createSigner', (options) => createSigner(wrong(), options)],
  ['loadSigner', (options) => loadSigner({ name: 'test-vault' }, async () => wrong(), options)],
])('a polluted Object.prototype changes no option of %s', async (_, make) => {
  Object.assign(Object.prototype, pollution)
  for (const options of [undefined, {}]) {
    const signer = await make(options)
    expect(signer.kid).toMatch(/^[\w-]{43}$/)
    wrongSince = true
    const error = await refusal(() => signer.sign(Buffer.from('input')))
    expect(error.code).toBe('ERR_SIGNER_INTEGRITY')
    wrongSince = false
  }
})

let wrongSince = false

/** A backend that takes longer than the polluted deadline, and whose later signatures are wrong. */
function wrong() {
  const good = backend('ES256')
  return {
    ...good,
    async sign(request: Parameters<typeof good.sign>[0]) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      return wrongSince ? new Uint8Array(64).fill(1) : good.sign(request)
    },
  }
}
