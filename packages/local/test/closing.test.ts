import { localSigner } from '@countersign/local'
import { describe, expect, it } from 'vitest'
import { keyPair } from '../../core/test/keys.ts'

const key = keyPair('ES256').privateKey
const input = Buffer.from('what is signed here')

describe('a signer over a key in memory', () => {
  it('signs until it is closed, as those of other backends', async () => {
    const signer = await localSigner({ key })
    expect(await signer.sign(input)).toHaveLength(64)
    await signer.close()
    await signer.close()
    await expect(signer.sign(input)).rejects.toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      backend: 'local',
    })
  })

  it('is not made when its load was aborted, and rejects with the reason as it is', async () => {
    const reason = { why: 'the caller left' }
    const loading = localSigner({ key, signal: AbortSignal.abort(reason) })
    await expect(loading).rejects.toBe(reason)
  })

  it('signs on when the signal of its load aborts later', async () => {
    const controller = new AbortController()
    const signer = await localSigner({ key, signal: controller.signal })
    controller.abort()
    expect(await signer.sign(input)).toHaveLength(64)
  })

  it('refuses a deadline that is not a number of seconds', async () => {
    await expect(localSigner({ key, timeoutSeconds: 0 })).rejects.toThrow(TypeError)
  })
})
