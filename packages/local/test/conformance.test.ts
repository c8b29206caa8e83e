import { localSigner } from '@countersign/local'
import { checkSigner } from '@countersign/testkit'
import { expect, it } from 'vitest'
import { keyPair, runnable } from '../../core/test/keys.ts'

it.each(runnable)('a local key for %s keeps every promise of a signer', async (alg) => {
  const open = () => localSigner({ key: keyPair(alg).privateKey, alg })
  expect(await checkSigner(open, { signatures: 512 })).toEqual([])
})
