import { setTimeout as delay } from 'node:timers/promises'
import { algorithms, createSigner, type JwsAlgorithm, SignerError } from '@countersign/core'
import { rawToDer } from '@countersign/core/der'
import { checkSigner } from '@countersign/testkit'
import { describe, expect, test, vi } from 'vitest'
import { frozen, handWritten, keyPair, type Parts, signWith } from './hand-written.ts'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasMlDsa = major > 24 || (major === 24 && minor >= 7)
const names = (Object.keys(algorithms) as JwsAlgorithm[]).filter(
  (alg) => hasMlDsa || algorithms[alg].kty !== 'AKP',
)

describe('a correct signer has no violations', () => {
  test.each(names)('%s, made by createSigner', async (alg) => {
    const pair = keyPair(alg)
    const violations = await checkSigner(() =>
      createSigner({
        name: 'test',
        alg,
        publicKey: pair.publicKey,
        sign: async ({ message }) => signWith(pair, alg, message),
      }),
    )
    expect(violations).toEqual([])
  })

  test.each(names)('%s, written by hand', async (alg) => {
    const pair = keyPair(alg)
    expect(await checkSigner(() => frozen(handWritten(alg, pair)))).toEqual([])
  })

  test('made by createSigner over a service that answers late and in DER', async () => {
    const pair = keyPair('ES256')
    const open = async () =>
      createSigner({
        name: 'test',
        alg: 'ES256',
        publicKey: pair.publicKey,
        signatureFormat: 'der',
        async sign({ message }) {
          await delay(2)
          return rawToDer(signWith(pair, 'ES256', message), 'ES256')
        },
      })
    expect(await checkSigner(open, { signatures: 16 })).toEqual([])
  })

  test('that refuses what its service cannot take as a message', async () => {
    const good = handWritten('EdDSA', keyPair('EdDSA'))
    const open = () =>
      frozen({
        ...good,
        async sign(...call: Parameters<Parts['sign']>) {
          const length = call[0]?.byteLength
          if (length === 0 || length > 4096) {
            throw new SignerError('ERR_SIGNER_KEY_UNSUPPORTED', 'signs 1 to 4096 octets')
          }
          return good.sign(...call)
        },
      })
    expect(await checkSigner(open)).toEqual([])
  })

  test('that is an instance of a class with a kid of its own', async () => {
    const { alg, publicJwk, sign } = handWritten('ES256', keyPair('ES256'))
    class VaultSigner {
      readonly #sign = sign
      readonly publicJwk = Object.freeze({ ...publicJwk, kid: 'agent-1' })
      get alg() {
        return alg
      }
      get kid() {
        return 'agent-1'
      }
      sign(...call: Parameters<Parts['sign']>) {
        return this.#sign(...call)
      }
    }
    expect(await checkSigner(() => Object.freeze(new VaultSigner()))).toEqual([])
  })
})

test('every signer that was opened is disposed of once', async () => {
  const pair = keyPair('EdDSA')
  const dispose = vi.fn(async () => {})
  const open = () => {
    const signer = { ...handWritten('EdDSA', pair), [Symbol.asyncDispose]: dispose }
    return frozen(signer)
  }
  expect(await checkSigner(open)).toEqual([])
  expect(dispose).toHaveBeenCalledTimes(2)

  dispose.mockClear()
  const shared = open()
  expect(await checkSigner(() => shared)).toEqual([])
  expect(dispose).toHaveBeenCalledTimes(1)
})
