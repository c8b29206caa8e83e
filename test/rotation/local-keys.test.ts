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
import { closing, type PublishedClient, startLoad, startPublishedClient } from './fixtures.ts'

afterEach(() => void vi.useRealTimers())

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

/** A key file that can be replaced atomically. */
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

/** How long oidc-provider caches what a client publishes. */
const serverCacheSeconds = 61

const tokenOf = ({ issuer }: AuthorizationServer, authentication: ClientAuthentication) =>
  tokenSource({ issuer, clientId: 'agent', authentication, retries: 0 }).token()

interface ClientWithKeyFile extends PublishedClient {
  readonly file: ReturnType<typeof keyFile>
  readonly current: Signer
  readonly next: Signer
  readonly nextKey: KeyObject
}

async function start(): Promise<ClientWithKeyFile> {
  const [key, nextKey] = [newKey(), newKey()]
  const [current, next] = [await localSigner({ key }), await localSigner({ key: nextKey })]
  const published = await startPublishedClient(current)
  return { ...published, file: keyFile(key), current, next, nextKey }
}

const rotatingFile = ({ file }: ClientWithKeyFile, options?: RotatingOptions) =>
  closing(rotating(file.load, options))

/** Key IDs of the assertions that got a token, in the order of their first use. */
const granted = ({ as }: ClientWithKeyFile) =>
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
    const client = await start()
    const { as, publisher, file, current, next, nextKey, publish } = client
    publish(current, next)
    const source = rotatingFile(client, options)
    const load = startLoad(as, 'agent', privateKeyJwt(source))
    await load.more(50)
    file.put(nextKey)
    await switchNow(source)
    await until(() => granted(client).has(next.kid), 20)
    await load.more(50)
    await load.end()
    expect([...granted(client)]).toEqual([current.kid, next.kid])
    expect(as.tokenRequests.at(-1)?.assertion?.header.kid).toBe(next.kid)
    expect(as.tokenRequests.filter(({ status }) => status !== 200)).toEqual([])
    expect(publisher.fetches('/jwks.json')).toBe(1)
  })
})

describe('a key that is no longer published', () => {
  it('fails no token request of a client that still uses it: one load, and one more assertion for each request', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const client = await start()
    const { as, file, current, next, nextKey, publish } = client
    const [early, late] = [rotatingFile(client), rotatingFile(client)]
    const token = (source: RotatingSigner) => tokenOf(as, privateKeyJwt(source))
    await Promise.all([token(early), token(late)])
    publish(next)
    file.put(nextKey)
    await early.reload()
    vi.setSystemTime(Date.now() + serverCacheSeconds * 1000)
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

describe('a key that is used before it is published', () => {
  it('is refused until the server fetches the keys again', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const client = await start()
    const { as, file, current, next, nextKey, publish } = client
    const source = rotatingFile(client)
    const token = () => tokenOf(as, privateKeyJwt(source))
    await token()
    publish(current, next)
    file.put(nextKey)
    await source.reload()
    // The server still has the keys that it cached for the first token.
    await expect(token()).rejects.toMatchObject({ error: 'invalid_client', status: 401 })
    vi.setSystemTime(Date.now() + serverCacheSeconds * 1000)
    await token()
    expect(as.tokenRequests.map(({ status }) => status)).toEqual([200, 401, 200])
  })
})
