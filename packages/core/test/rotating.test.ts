import { generateKeyPairSync } from 'node:crypto'
import {
  assertionProvider,
  authorizationGrant,
  clientAssertion,
  jwks,
  rotating,
  type Signer,
  SignerError,
  signJws,
} from '@countersign/core'
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { refusal, thrown } from './outcome.ts'
import { scene, settled, type Version, version, versionOf } from './rotation-scene.ts'

const client = { clientId: 'agent', audience: 'https://as.test' }

const unhandled: unknown[] = []
const onUnhandled = (reason: unknown) => unhandled.push(reason)
beforeEach(() => void process.on('unhandledRejection', onUnhandled))
afterEach(async () => {
  await settled()
  process.off('unhandledRejection', onUnhandled)
  expect(unhandled.splice(0)).toEqual([])
})

/** Fails unless header, key ID and signature are those of this version. */
async function expectSignedBy({ signer }: Version, jwt: string): Promise<void> {
  expect(decodeProtectedHeader(jwt)).toMatchObject({ alg: signer.alg, kid: signer.kid })
  await jwtVerify(jwt, await importJWK({ ...signer.publicJwk }))
}

describe('a rotating signer', () => {
  it('loads its key when it is made, and is ready when it has it', async () => {
    const key = version()
    const { source, ...vault } = scene(key)
    expect(source.current).toBeUndefined()
    expect(await source.ready()).toBe(source)
    expect(source.current).toBe(key.signer)
    await expectSignedBy(key, await clientAssertion(source, client))
    expect(vault.messages).toHaveLength(1)
  })

  it('is not ready when its key cannot be loaded, and says why as it is', async () => {
    const reason = new TypeError('"keyId" must be a string')
    const { source } = scene(() => {
      throw reason
    })
    expect(await thrown(() => source.ready())).toBe(reason)
    expect(await thrown(() => clientAssertion(source, client))).toBe(reason)
  })

  it('tries again for its first key, but not again and again', async () => {
    const down = new SignerError('ERR_SIGNER_UNAVAILABLE', 'down')
    const vault = scene(() => {
      throw down
    })
    for (let call = 0; call < 10; call++) {
      expect(await thrown(() => clientAssertion(vault.source, client))).toBe(down)
    }
    expect(vault.loads).toBe(1)
    const key = version()
    vault.name(key)
    vault.advance(1)
    await expectSignedBy(key, await clientAssertion(vault.source, client))
    expect(vault.loads).toBe(2)
  })

  it('is what every function that signs takes', async () => {
    const key = version()
    const { source } = scene(key)
    const issuer = { issuer: 'i', subject: 's', audience: 'a' }
    for (const jwt of [
      await clientAssertion(source, client),
      await assertionProvider(source, { clientId: 'agent' })('https://as.test'),
      await authorizationGrant(source, issuer),
      await signJws(source, '{}'),
    ]) {
      await expectSignedBy(key, jwt)
    }
    expect(jwks(source).keys).toEqual([key.signer.publicJwk])
  })

  it('is no signer itself, so that no header outlives its key', async () => {
    const { source } = scene(version())
    expect(source).not.toHaveProperty('sign')
    expect(Object.isFrozen(source)).toBe(true)
  })

  it('cannot be published before it has a key', async () => {
    const key = version()
    const { source } = scene(key)
    expect(() => jwks(source)).toThrow(/await its ready\(\)/)
    await source.ready()
    const next = version()
    expect(jwks(source, next.signer).keys.map(({ kid }) => kid)).toEqual([
      key.signer.kid,
      next.signer.kid,
    ])
  })

  it.each([
    [undefined, {}],
    [version().signer, {}],
    [async () => version().signer, { maxAgeSeconds: 0 }],
    [async () => version().signer, { maxAgeSeconds: Number.NaN }],
    [async () => version().signer, { maxAgeSeconds: '60' }],
    [async () => version().signer, { timeoutSeconds: 601 }],
    [async () => version().signer, { now: 7 }],
  ])('cannot be made of %o and %o', (load, options) => {
    expect(() => rotating(load as never, options as never)).toThrow(TypeError)
  })

  it.each([undefined, null, {}, 'pem', { alg: 'ES256' }])(
    'refuses to have %o loaded',
    async (no) => {
      const { source } = scene(() => no as unknown as Signer)
      expect(await thrown(() => source.ready())).toBeInstanceOf(TypeError)
    },
  )
})

describe('age', () => {
  it('has the key loaded in the background, while nobody waits', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old, { maxAgeSeconds: 60 })
    await vault.source.ready()
    let finish = (_signer: Signer) => {}
    vault.name(() => new Promise((resolve) => (finish = resolve)))
    vault.advance(59)
    await expectSignedBy(old, await clientAssertion(vault.source, client))
    expect(vault.loads).toBe(1)
    vault.advance(1)
    for (let call = 0; call < 5; call++) {
      await expectSignedBy(old, await clientAssertion(vault.source, client))
    }
    expect(vault.loads).toBe(2)
    finish(next.signer)
    await settled()
    await expectSignedBy(next, await clientAssertion(vault.source, client))
    expect([old.closed, next.closed]).toEqual([1, 0])
  })

  it('counts from the last load, and a clock that was set back does not stop it', async () => {
    const vault = scene(version(), { maxAgeSeconds: 60 })
    await vault.source.ready()
    for (const [advance, loads] of [
      [60, 2],
      [59, 2],
      [1, 3],
      [-3600, 4],
      [1, 4],
    ] as const) {
      vault.advance(advance)
      await clientAssertion(vault.source, client)
      await settled()
      expect(vault.loads).toBe(loads)
    }
  })

  it('keeps the signer when a load fails, and backs off up to a minute', async () => {
    const key = version()
    const vault = scene(key, { maxAgeSeconds: 60 })
    await vault.source.ready()
    vault.name(() => {
      throw new SignerError('ERR_SIGNER_UNAVAILABLE', 'down')
    })
    vault.advance(60)
    let loads = vault.loads
    const pauses: number[] = []
    for (let pause = 0, second = 0; second < 600; second += 0.25, pause += 0.25) {
      await expectSignedBy(key, await clientAssertion(vault.source, client))
      await settled()
      if (vault.loads > loads) {
        pauses.push(pause)
        pause = 0
        loads = vault.loads
      }
      vault.advance(0.25)
    }
    for (const [at, pause] of pauses.slice(1).entries()) {
      const longest = Math.min(60, 2 ** at)
      expect(pause).toBeGreaterThanOrEqual(longest / 2)
      expect(pause).toBeLessThanOrEqual(longest + 0.25)
    }
    expect(pauses.length).toBeGreaterThan(12)
    expect(key.closed).toBe(0)
  })

  it('finds the same key, closes the duplicate and changes nothing', async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const [one, duplicate] = [versionOf(pair), versionOf(pair)]
    const vault = scene(one)
    await vault.source.ready()
    vault.name(duplicate)
    await vault.source.reload()
    expect(vault.source.current).toBe(one.signer)
    expect([one.closed, duplicate.closed]).toEqual([0, 1])
    expect(vault.messages.map(({ outcome }) => outcome)).toEqual(['loaded', 'unchanged'])
  })

  it('takes the same key from elsewhere when it fails where it was loaded from', async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const [primary, replica] = [versionOf(pair), versionOf(pair)]
    const vault = scene(primary)
    await vault.source.ready()
    primary.fail('ERR_SIGNER_KEY_DISABLED')
    vault.name(replica)
    await clientAssertion(vault.source, client)
    expect(vault.source.current).toBe(replica.signer)
    expect([primary.closed, replica.closed, vault.loads]).toEqual([1, 0, 2])
    replica.fail('ERR_SIGNER_KEY_DISABLED')
    for (let again = 0; again < 5; again++) {
      expect(await thrown(() => clientAssertion(vault.source, client))).toMatchObject({
        code: 'ERR_SIGNER_KEY_DISABLED',
      })
    }
    expect(vault.loads).toBe(2)
  })

  it('does not close the signer in use when a load that has it again is too late', async () => {
    const key = version()
    const vault = scene(key, { timeoutSeconds: 0.02 })
    await vault.source.ready()
    let late = Promise.resolve(key.signer)
    vault.name(() => {
      late = new Promise((resolve) => setTimeout(resolve, 60, key.signer))
      return late
    })
    expect(await thrown(() => vault.source.reload())).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
    await late
    await settled()
    expect(key.closed).toBe(0)
    await clientAssertion(vault.source, client)
  })

  it('finds the very same signer, and does not close it', async () => {
    const key = version()
    const vault = scene(key)
    await vault.source.ready()
    await vault.source.reload()
    await expectSignedBy(key, await clientAssertion(vault.source, client))
    expect(key.closed).toBe(0)
  })

  it('takes another key ID or algorithm of one key for another signer', async () => {
    const pair = generateKeyPairSync('ed25519')
    const one = versionOf(pair, 'EdDSA')
    const vault = scene(one)
    await vault.source.ready()
    for (const next of [versionOf(pair, 'Ed25519'), versionOf(pair, 'Ed25519', 'named')]) {
      vault.name(next)
      await vault.source.reload()
      await expectSignedBy(next, await clientAssertion(vault.source, client))
    }
    expect(one.closed).toBe(1)
  })
})

const ofAnotherKey = [
  'ERR_SIGNER_KEY_DISABLED',
  'ERR_SIGNER_KEY_NOT_FOUND',
  'ERR_SIGNER_INTEGRITY',
] as const
const ofThisKey = [
  'ERR_SIGNER_CONFIG',
  'ERR_SIGNER_KEY_UNSUPPORTED',
  'ERR_SIGNER_ACCESS_DENIED',
  'ERR_SIGNER_THROTTLED',
  'ERR_SIGNER_UNAVAILABLE',
  'ERR_SIGNER_TIMEOUT',
  'ERR_SIGNER_BACKEND',
] as const

describe('a signature that fails', () => {
  it.each(ofAnotherKey)('with %s is made by the successor', async (code) => {
    const [old, next] = [version(), version('EdDSA')]
    const vault = scene(old)
    await vault.source.ready()
    vault.name(next)
    old.fail(code)
    await expectSignedBy(next, await clientAssertion(vault.source, client))
    await expectSignedBy(next, await signJws(vault.source, '{}'))
    expect([vault.loads, old.signatures, next.signatures]).toEqual([2, 1, 2])
    expect(vault.messages.at(-1)).toMatchObject({
      cause: 'failure',
      outcome: 'replaced',
      previousKid: old.signer.kid,
    })
  })

  it.each(ofThisKey)('with %s is not made again, and no key is loaded', async (code) => {
    const key = version()
    const vault = scene(key)
    await vault.source.ready()
    vault.name(version())
    key.fail(code)
    expect((await refusal(() => clientAssertion(vault.source, client))).code).toBe(code)
    expect([vault.loads, key.signatures]).toEqual([1, 1])
  })

  it('is made again as a new assertion: another jti, and the header of the key that signs', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old)
    await vault.source.ready()
    vault.name(next)
    old.fail('ERR_SIGNER_KEY_DISABLED')
    const jwt = await clientAssertion(vault.source, client)
    const [refused = '', signed = ''] = [...old.inputs, ...next.inputs]
    expect(decodeProtectedHeader(`${refused}.`).kid).toBe(old.signer.kid)
    expect(decodeProtectedHeader(`${signed}.`).kid).toBe(next.signer.kid)
    expect(decodeJwt(`${refused}.`).jti).not.toBe(decodeJwt(`${signed}.`).jti)
    expect(jwt.startsWith(`${signed}.`)).toBe(true)
  })

  it('again after the replacement fails as it fails, without another load', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old)
    await vault.source.ready()
    vault.name(next)
    old.fail('ERR_SIGNER_KEY_DISABLED')
    next.fail('ERR_SIGNER_KEY_DISABLED')
    const { code } = await refusal(() => clientAssertion(vault.source, client))
    expect(code).toBe('ERR_SIGNER_KEY_DISABLED')
    expect([vault.loads, next.signatures]).toEqual([2, 1])
  })

  it('fails as it did when there is no successor, and loads at most once in each pause', async () => {
    const key = version()
    const vault = scene(key)
    await vault.source.ready()
    key.fail('ERR_SIGNER_KEY_DISABLED')
    const attempts = async () => {
      for (let call = 0; call < 5; call++) {
        const { code } = await refusal(() => clientAssertion(vault.source, client))
        expect(code).toBe('ERR_SIGNER_KEY_DISABLED')
      }
    }
    await attempts()
    expect(vault.loads).toBe(2)
    vault.name(() => {
      throw new SignerError('ERR_SIGNER_ACCESS_DENIED', 'no permission for the new key')
    })
    vault.advance(1)
    await attempts()
    expect(vault.loads).toBe(3)
    const next = version()
    vault.name(next)
    vault.advance(2)
    await expectSignedBy(next, await clientAssertion(vault.source, client))
  })

  it.each(['failure', 'refusal'] as const)(
    'for want of a successor delays the next load by a second at most once another one was found, after a %s',
    async (cause) => {
      const [first, second, third] = [version(), version(), version()]
      const vault = scene(first)
      await vault.source.ready()
      /** A load that finds no other key. */
      const failed = async (key: Version) => {
        if (cause === 'refusal') return expect(await vault.source.replace(key.signer)).toBe(false)
        key.fail('ERR_SIGNER_KEY_DISABLED')
        await refusal(() => clientAssertion(vault.source, client))
      }
      /** A load that finds this one. */
      const found = async (key: Version, refused: Version) => {
        vault.name(key)
        if (cause === 'refusal') expect(await vault.source.replace(refused.signer)).toBe(true)
        await expectSignedBy(key, await clientAssertion(vault.source, client))
      }
      for (let failure = 0; failure < 8; failure++) {
        await failed(first)
        vault.advance(60)
      }
      await found(second, first)
      await failed(second)
      vault.advance(1)
      await found(third, second)
    },
  )

  it('to load by age is tried again within a second once a load has succeeded', async () => {
    const key = version()
    const vault = scene(key, { maxAgeSeconds: 100 })
    const down = () => {
      throw new SignerError('ERR_SIGNER_UNAVAILABLE', 'down')
    }
    await vault.source.ready()
    const loadsAfter = async (seconds: number) => {
      vault.advance(seconds)
      await clientAssertion(vault.source, client)
      await settled()
      return vault.loads
    }
    vault.name(down)
    for (let failure = 0; failure < 8; failure++) await loadsAfter(100)
    vault.name(key)
    expect(await loadsAfter(100)).toBe(10)
    vault.name(down)
    expect(await loadsAfter(100)).toBe(11)
    expect(await loadsAfter(1)).toBe(12)
  })

  it('is made again at once although loads by age have been failing', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old, { maxAgeSeconds: 60 })
    await vault.source.ready()
    vault.name(() => {
      throw new SignerError('ERR_SIGNER_UNAVAILABLE', 'down')
    })
    vault.advance(60)
    await clientAssertion(vault.source, client)
    await settled()
    vault.name(next)
    old.fail('ERR_SIGNER_KEY_DISABLED')
    await expectSignedBy(next, await clientAssertion(vault.source, client))
  })

  it('is made again after a load that saw the old key while it was replaced', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old, { maxAgeSeconds: 60 })
    await vault.source.ready()
    let finish = () => {}
    vault.name(() => new Promise((resolve) => (finish = () => resolve(old.signer))))
    vault.advance(60)
    await clientAssertion(vault.source, client)
    vault.name(next)
    old.fail('ERR_SIGNER_KEY_NOT_FOUND')
    const assertion = clientAssertion(vault.source, client)
    await settled()
    finish()
    await expectSignedBy(next, await assertion)
    expect(vault.loads).toBe(3)
  })

  it('costs a hundred callers one load', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old)
    await vault.source.ready()
    vault.name(async () => {
      await settled()
      return next.signer
    })
    old.fail('ERR_SIGNER_KEY_DISABLED')
    const all = Array.from({ length: 100 }, () => clientAssertion(vault.source, client))
    const jwts = await Promise.all(all)
    for (const jwt of jwts) await expectSignedBy(next, jwt)
    expect(new Set(jwts.map((jwt) => decodeJwt(jwt).jti)).size).toBe(100)
    expect(vault.loads).toBe(2)
    expect(old.closed).toBe(1)
  })
})

describe('a caller who aborts', () => {
  it('leaves the load to the others, with its own reason', async () => {
    const key = version()
    let finish = (_signer: Signer) => {}
    const { source } = scene(() => new Promise((resolve) => (finish = resolve)))
    const controller = new AbortController()
    const { signal } = controller
    const leaving = [
      thrown(() => clientAssertion(source, { ...client, signal })),
      thrown(() => source.ready({ signal })),
    ]
    const staying = clientAssertion(source, client)
    controller.abort('enough')
    expect(await Promise.all(leaving)).toEqual(['enough', 'enough'])
    finish(key.signer)
    await expectSignedBy(key, await staying)
  })

  it('leaves a replacement to the others, too', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old)
    await vault.source.ready()
    let finish = () => {}
    vault.name(() => new Promise((resolve) => (finish = () => resolve(next.signer))))
    old.fail('ERR_SIGNER_KEY_DISABLED')
    const controller = new AbortController()
    const { signal } = controller
    const leaving = thrown(() => clientAssertion(vault.source, { ...client, signal }))
    const staying = clientAssertion(vault.source, client)
    await settled()
    controller.abort('enough')
    expect(await leaving).toBe('enough')
    finish()
    await expectSignedBy(next, await staying)
    expect(vault.loads).toBe(2)
  })

  it('before the call asks for nothing', async () => {
    const key = version()
    const { source } = scene(key)
    await source.ready()
    const signal = AbortSignal.abort('before')
    expect(await thrown(() => clientAssertion(source, { ...client, signal }))).toBe('before')
    expect(await thrown(() => source.reload({ signal }))).toBe('before')
    expect(await thrown(() => source.replace(key.signer, { signal }))).toBe('before')
    expect(key.signatures).toBe(0)
  })
})

describe('a signer that was replaced', () => {
  it('is closed after what is under way with it', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old)
    await vault.source.ready()
    old.hold()
    const under = [clientAssertion(vault.source, client), clientAssertion(vault.source, client)]
    await settled()
    vault.name(next)
    await vault.source.reload()
    await expectSignedBy(next, await clientAssertion(vault.source, client))
    expect(old.closed).toBe(0)
    old.release()
    for (const jwt of await Promise.all(under)) await expectSignedBy(old, jwt)
    await settled()
    expect(old.closed).toBe(1)
  })

  it('may fail to close, and nobody is troubled', async () => {
    const [old, next] = [version(), version()]
    const close = () => Promise.reject(new Error('stuck'))
    const vault = scene({ ...old.signer, close } as Signer)
    await vault.source.ready()
    vault.name(next)
    await vault.source.reload()
    await vault.source.close()
  })
})

describe('close()', () => {
  it('waits for what is under way, closes the signer, and loads no other', async () => {
    const key = version()
    const vault = scene(key)
    await vault.source.ready()
    key.hold()
    const under = clientAssertion(vault.source, client)
    await settled()
    let isClosed = false
    const closing = vault.source.close().then(() => {
      isClosed = true
    })
    await settled()
    expect([isClosed, key.closed]).toEqual([false, 0])
    key.release()
    await expectSignedBy(key, await under)
    await closing
    expect(key.closed).toBe(1)
    const closed = { code: 'ERR_SIGNER_CONFIG', message: /was closed; make a new one/ }
    for (const call of [
      () => clientAssertion(vault.source, client),
      () => vault.source.ready(),
      () => vault.source.reload(),
      () => vault.source.replace(key.signer),
    ]) {
      const error = await refusal(call)
      expect(error.code).toBe(closed.code)
      expect(error.message).toMatch(closed.message)
    }
    await vault.source.close()
    expect([vault.loads, key.closed, vault.source.current]).toEqual([1, 1, undefined])
  })

  it('twice closes the signer once, and both calls wait for what is under way', async () => {
    const key = version()
    const vault = scene(key)
    await vault.source.ready()
    key.hold()
    const under = clientAssertion(vault.source, client)
    await settled()
    const closed: number[] = []
    const closing = [1, 2].map((call) => vault.source.close().then(() => closed.push(call)))
    await settled()
    expect(closed).toEqual([])
    key.release()
    await expectSignedBy(key, await under)
    await Promise.all(closing)
    expect(key.closed).toBe(1)
  })

  it('is called for what was loaded and is not a signer', async () => {
    let closed = 0
    const close = async () => {
      closed++
    }
    const vault = scene({ ...version().signer, alg: 'none', close } as never)
    expect(await thrown(() => vault.source.ready())).toBeInstanceOf(TypeError)
    await settled()
    expect(closed).toBe(1)
  })

  it('gives up a load, tells its signal, and closes what it still brings', async () => {
    const key = version()
    let told: AbortSignal | undefined
    let finish = (_signer: Signer) => {}
    const source = rotating(({ signal }) => {
      told = signal
      return new Promise((resolve) => (finish = resolve))
    })
    const waiting = refusal(() => source.ready())
    await source[Symbol.asyncDispose]()
    expect((await waiting).code).toBe('ERR_SIGNER_CONFIG')
    expect(told?.aborted).toBe(true)
    finish(key.signer)
    await settled()
    expect(key.closed).toBe(1)
  })

  it('at any moment around the end of a load closes what was loaded, once', async () => {
    for (let turns = 0; turns < 12; turns++) {
      const key = version()
      let finish = (_signer: Signer) => {}
      const source = rotating(() => new Promise((resolve) => (finish = resolve)))
      const waiting = source.ready().catch(() => {})
      finish(key.signer)
      for (let turn = 0; turn < turns; turn++) await undefined
      await source.close()
      await waiting
      await settled()
      expect(key.closed, `close() after ${turns} turns`).toBe(1)
      expect(source.current).toBeUndefined()
    }
  })
})

describe('a load', () => {
  it('that is too slow ends with ERR_SIGNER_TIMEOUT, and its signer is closed when it comes', async () => {
    const key = version()
    let finish = (_signer: Signer) => {}
    let told: AbortSignal | undefined
    const source = rotating(
      ({ signal }) => {
        told = signal
        return new Promise((resolve) => (finish = resolve))
      },
      { timeoutSeconds: 0.02 },
    )
    const error = await refusal(() => source.ready())
    expect(error).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT', retryable: true })
    expect(error.message).toContain('0.02 s')
    expect(told?.reason).toBe(error)
    finish(key.signer)
    await settled()
    expect(key.closed).toBe(1)
  })

  it('that is over leaves its signal alone, which does not bind signatures', async () => {
    const key = version()
    let told: AbortSignal | undefined
    const source = rotating(async ({ signal }) => {
      told = signal
      return key.signer
    })
    await source.ready()
    await source.close()
    expect(told?.aborted).toBe(false)
  })

  it('on request is a new one, even while one is under way', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old, { maxAgeSeconds: 60 })
    await vault.source.ready()
    let finish = () => {}
    vault.name(() => new Promise((resolve) => (finish = () => resolve(old.signer))))
    vault.advance(60)
    await clientAssertion(vault.source, client)
    vault.name(next)
    const reloads = [vault.source.reload(), vault.source.reload()]
    finish()
    await Promise.all(reloads)
    expect([vault.loads, vault.source.current]).toEqual([3, next.signer])
  })

  it('on request tells of its failure and keeps the signer', async () => {
    const key = version()
    const vault = scene(key)
    await vault.source.ready()
    const down = new SignerError('ERR_SIGNER_UNAVAILABLE', 'down')
    vault.name(() => {
      throw down
    })
    expect(await thrown(() => vault.source.reload())).toBe(down)
    await expectSignedBy(key, await clientAssertion(vault.source, client))
  })
})

describe('a signer that somebody else refuses', () => {
  it('is looked up anew once for all, and replaced only by another key', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old)
    await vault.source.ready()
    const ask = () =>
      Promise.all(Array.from({ length: 20 }, () => vault.source.replace(old.signer)))
    expect(new Set(await ask())).toEqual(new Set([false]))
    expect(vault.loads).toBe(2)
    expect(new Set(await ask())).toEqual(new Set([false]))
    expect(vault.loads).toBe(2)
    vault.name(next)
    vault.advance(1)
    expect(new Set(await ask())).toEqual(new Set([true]))
    expect(vault.loads).toBe(3)
    // Whoever comes late with the old one is told of the new one at once.
    expect(await vault.source.replace(old.signer)).toBe(true)
    expect(vault.loads).toBe(3)
  })

  it('for ever does not keep a key that is gone from being replaced', async () => {
    const [old, next] = [version(), version()]
    const vault = scene(old)
    await vault.source.ready()
    for (let minute = 0; minute < 10; minute++) {
      expect(await vault.source.replace(old.signer)).toBe(false)
      vault.advance(60)
    }
    expect(await vault.source.replace(old.signer)).toBe(false)
    vault.name(next)
    old.fail('ERR_SIGNER_KEY_NOT_FOUND')
    await expectSignedBy(next, await clientAssertion(vault.source, client))
  })
})

describe('the channel countersign:rotation', () => {
  it('tells of each load, its cause and its outcome, and of nothing secret', async () => {
    const [old, next] = [version('ES256', 'old'), version('EdDSA', 'new')]
    const vault = scene(old, { maxAgeSeconds: 60 })
    await vault.source.ready()
    vault.name(() => {
      throw new SignerError('ERR_SIGNER_UNAVAILABLE', 'MARKER')
    })
    vault.advance(60)
    await clientAssertion(vault.source, client)
    await settled()
    vault.name(() => {
      throw new Error('MARKER')
    })
    await thrown(() => vault.source.reload())
    vault.name(old)
    await vault.source.replace(old.signer)
    vault.name(next)
    old.fail('ERR_SIGNER_KEY_DISABLED')
    await clientAssertion(vault.source, client)
    const durationSeconds = expect.any(Number)
    const before = { alg: 'ES256', kid: 'old', durationSeconds }
    expect(vault.messages).toEqual([
      { cause: 'start', outcome: 'loaded', ...before },
      { cause: 'age', outcome: 'failed', code: 'ERR_SIGNER_UNAVAILABLE', ...before },
      { cause: 'request', outcome: 'failed', ...before },
      { cause: 'refusal', outcome: 'unchanged', ...before },
      {
        cause: 'failure',
        outcome: 'replaced',
        alg: 'EdDSA',
        kid: 'new',
        previousKid: 'old',
        durationSeconds,
      },
    ])
  })

  it('names no key before there is one', async () => {
    const vault = scene(() => {
      throw undefined
    })
    await thrown(() => vault.source.ready())
    expect(vault.messages).toEqual([
      { cause: 'start', outcome: 'failed', durationSeconds: expect.any(Number) },
    ])
  })
})
