import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type RotatingOptions,
  type RotatingSigner,
  type RotationMessage,
  rotating,
  type Signer,
} from '@countersign/core'
import { localSigner } from '@countersign/local'
import { type ClientAuthentication, privateKeyJwt, tokenSource } from '@countersign/oauth'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { messagesOn } from '../oauth/fixtures.ts'
import type { AuthorizationServer } from '../servers/authorization-server.js'
import { until } from '../support/until.js'
import { closing } from './closing.ts'
import { startLoad } from './load.ts'
import { type PublishedClient, startPublishedClient } from './published-client.ts'

afterEach(() => void vi.useRealTimers())

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

/** A file that a key lies in, which can be replaced by another one without a moment of there being none. */
function keyFile(first: KeyObject) {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-keys-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'key.pem')
  const put = (key: KeyObject) => {
    const next = join(folder, 'next.pem')
    writeFileSync(next, key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
    renameSync(next, path)
  }
  put(first)
  return { put, load: async () => localSigner({ key: await readFile(path, 'utf8') }) }
}

/** For how long oidc-provider looks at its own copy only of what a client publishes. */
const serversCopySeconds = 61

const tokenOf = ({ issuer }: AuthorizationServer, authentication: ClientAuthentication) =>
  tokenSource({ issuer, clientId: 'agent', authentication, retries: 0 }).token()

interface Story extends PublishedClient {
  readonly file: ReturnType<typeof keyFile>
  readonly current: Signer
  readonly next: Signer
  readonly nextKey: KeyObject
}

async function startStory(): Promise<Story> {
  const [key, nextKey] = [newKey(), newKey()]
  const [current, next] = [await localSigner({ key }), await localSigner({ key: nextKey })]
  const published = await startPublishedClient(current)
  return { ...published, file: keyFile(key), current, next, nextKey }
}

const rotatingFile = ({ file }: Story, options?: RotatingOptions) =>
  closing(rotating(file.load, options))

/** Key IDs of the assertions that were granted a token, in the order in which they first came. */
const granted = ({ as }: Story) =>
  new Set(
    as.tokenRequests
      .filter(({ status }) => status === 200)
      .map(({ assertion }) => assertion?.header.kid),
  )

describe('a key that is replaced after both were published', () => {
  it.each([
    ['by age, in the background', { maxAgeSeconds: 0.2 }, async () => {}],
    ['on request', {}, (source: RotatingSigner) => source.reload()],
  ])('fails no token request under load: %s', async (_how, options, switchNow) => {
    const story = await startStory()
    const { as, publisher, file, current, next, nextKey, publish } = story
    publish(current, next)
    const source = rotatingFile(story, options)
    const load = startLoad(as, 'agent', privateKeyJwt(source))
    await load.more(50)
    file.put(nextKey)
    await switchNow(source)
    await until(() => granted(story).has(next.kid), 20)
    await load.more(50)
    await load.end()
    expect([...granted(story)]).toEqual([current.kid, next.kid])
    expect(as.tokenRequests.at(-1)?.assertion?.header.kid).toBe(next.kid)
    expect(as.tokenRequests.filter(({ status }) => status !== 200)).toEqual([])
    expect(publisher.fetches('/jwks.json')).toBe(1)
  })
})

describe('a key that is no longer published', () => {
  it('fails no token either for those who have not switched: one load, one more assertion each', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const story = await startStory()
    const { as, file, current, next, nextKey, publish } = story
    const [early, late] = [rotatingFile(story), rotatingFile(story)]
    const token = (source: RotatingSigner) => tokenOf(as, privateKeyJwt(source))
    await Promise.all([token(early), token(late)])
    publish(next)
    file.put(nextKey)
    await early.reload()
    vi.setSystemTime(Date.now() + serversCopySeconds * 1000)
    await token(early)
    const loads: RotationMessage[] = []
    await messagesOn('countersign:rotation', loads, async () => {
      const load = startLoad(as, 'agent', privateKeyJwt(late))
      await load.more(50)
      await load.end()
    })
    expect(loads).toMatchObject([
      { cause: 'refusal', outcome: 'replaced', kid: next.kid, previousKid: current.kid },
    ])
    const refused = as.tokenRequests.filter(({ status }) => status !== 200)
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThanOrEqual(8)
    const jtis = as.tokenRequests.map(({ assertion }) => assertion?.claims.jti)
    expect(new Set(jtis).size).toBe(jtis.length)
  })
})

describe('a key that is used before it was published', () => {
  it('is refused, with nothing to be done about it here', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const story = await startStory()
    const { as, file, current, next, nextKey, publish } = story
    const source = rotatingFile(story)
    const token = () => tokenOf(as, privateKeyJwt(source))
    await token()
    publish(current, next)
    file.put(nextKey)
    await source.reload()
    // The server still has the copy that it made for the first token.
    await expect(token()).rejects.toMatchObject({ error: 'invalid_client', status: 401 })
    vi.setSystemTime(Date.now() + serversCopySeconds * 1000)
    await token()
    expect(as.tokenRequests.map(({ status }) => status)).toEqual([200, 401, 200])
  })
})
