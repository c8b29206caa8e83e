import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import {
  type InteractiveProvider,
  type WithClientAuthenticationOptions,
  withClientAuthentication,
} from '@countersign/mcp'
import { type ClientAuthentication, privateKeyJwt } from '@countersign/oauth'
import type { AuthorizationServerMetadata } from '@modelcontextprotocol/client'
import { describe, expect, it, vi } from 'vitest'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const authentication = privateKeyJwt(await localSigner({ key: privateKey }))

/** The members that wrapping adds. */
interface Wrapped {
  addClientAuthentication(
    headers: Headers,
    params: URLSearchParams,
    url: string,
    metadata?: AuthorizationServerMetadata,
  ): Promise<void>
  saveDiscoveryState(state: object): Promise<void>
  discoveryState(): Promise<unknown>
  invalidateCredentials(scope: string): Promise<void>
}

function wrap<P extends InteractiveProvider>(
  provider: P,
  options?: WithClientAuthenticationOptions,
): P & Wrapped {
  return withClientAuthentication(provider, authentication, options) as P & Wrapped
}

/** Members of a provider that these tests do not use. */
const others = { redirectToAuthorization() {}, saveTokens() {} }

const metadata = {
  issuer: 'https://as.example',
  authorization_endpoint: 'https://as.example/authorize',
  token_endpoint: 'https://as.example/token',
  response_types_supported: ['code'],
  token_endpoint_auth_methods_supported: ['private_key_jwt'],
}
const state = { authorizationServerUrl: metadata.issuer, authorizationServerMetadata: metadata }

class Application {
  name = 'application'
  readonly #id = 'app'
  #count = 0
  clientInformation() {
    return { client_id: this.#id }
  }
  redirectToAuthorization() {}
  saveTokens() {}
  count() {
    this.#count++
    return this.#count
  }
  get secret() {
    return this.#id
  }
}

describe('a provider with client authentication', () => {
  it('is still an instance of its class, with its private fields, accessors and members', () => {
    const application = new Application()
    const wrapped = wrap(application)
    expect(wrapped).toBeInstanceOf(Application)
    expect([wrapped.count(), application.count(), wrapped.count()]).toEqual([1, 2, 3])
    expect(wrapped.secret).toBe('app')
    wrapped.name = 'renamed'
    expect(application.name).toBe('renamed')
    expect(['count', 'addClientAuthentication', 'nothing'].map((name) => name in wrapped)).toEqual([
      true,
      true,
      false,
    ])
  })

  it('may be a frozen object, and may have had another client authentication', async () => {
    const plain = Object.freeze({
      ...others,
      clientInformation: () => ({ client_id: 'app' }),
      addClientAuthentication: () => {
        throw new Error('the old one')
      },
    })
    const { addClientAuthentication, saveDiscoveryState, clientInformation } = wrap(plain)
    expect(clientInformation()).toEqual({ client_id: 'app' })
    await saveDiscoveryState(state)
    const params = new URLSearchParams()
    await addClientAuthentication(new Headers(), params, metadata.token_endpoint, metadata)
    expect(params.get('client_assertion')).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
  })

  it('is asked for the client of this server by an SDK that passes the server', async () => {
    const perServer = {
      ...others,
      clientInformation: (context?: { issuer: string }) =>
        context && { client_id: `client of ${context.issuer}` },
    }
    const { addClientAuthentication, saveDiscoveryState, clientInformation } = wrap(perServer)
    await saveDiscoveryState(state)
    clientInformation({ issuer: metadata.issuer })
    const params = new URLSearchParams()
    await addClientAuthentication(new Headers(), params, metadata.token_endpoint, metadata)
    const [, claims = ''] = (params.get('client_assertion') ?? '').split('.')
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString()).sub).toBe(
      'client of https://as.example',
    )
  })

  it('is asked without an argument by an SDK that passes none', async () => {
    const given: unknown[][] = []
    const provider = {
      ...others,
      clientInformation(...context: unknown[]) {
        given.push(context)
        return { client_id: 'app' }
      },
    }
    const { addClientAuthentication, saveDiscoveryState, clientInformation } = wrap(provider)
    await saveDiscoveryState(state)
    clientInformation()
    await addClientAuthentication(
      new Headers(),
      new URLSearchParams(),
      metadata.token_endpoint,
      metadata,
    )
    expect(given).toEqual([[], []])
  })

  it('throws an error when it has no client to authenticate', async () => {
    const { addClientAuthentication, saveDiscoveryState } = wrap({
      ...others,
      clientInformation: () => undefined,
    })
    await saveDiscoveryState(state)
    await expect(
      addClientAuthentication(
        new Headers(),
        new URLSearchParams(),
        metadata.token_endpoint,
        metadata,
      ),
    ).rejects.toThrow(/has no "client_id" to authenticate/)
  })

  it('caches the discovery only while a user signs in', async () => {
    const wrapped = wrap(new Application())
    await wrapped.saveDiscoveryState(state)
    expect(await wrapped.discoveryState()).toBeUndefined()
    wrapped.redirectToAuthorization()
    expect(await wrapped.discoveryState()).toBe(state)
    await wrapped.invalidateCredentials('client')
    await wrapped.invalidateCredentials('tokens')
    expect(await wrapped.discoveryState()).toBe(state)
    wrapped.saveTokens()
    expect(await wrapped.discoveryState()).toBeUndefined()
    for (const scope of ['discovery', 'all']) {
      wrapped.redirectToAuthorization()
      expect(await wrapped.discoveryState()).toBe(state)
      await wrapped.invalidateCredentials(scope)
      expect(await wrapped.discoveryState()).toBeUndefined()
    }
  })

  it('gets no assertion with metadata that was not verified, even if it is the same', async () => {
    const { addClientAuthentication, saveDiscoveryState } = wrap(new Application())
    await saveDiscoveryState(state)
    for (const given of [undefined, { ...metadata }]) {
      const params = new URLSearchParams()
      const asked = addClientAuthentication(new Headers(), params, metadata.token_endpoint, given)
      await expect(asked).rejects.toMatchObject({
        code: 'ERR_OAUTH_ISSUER_MISMATCH',
        message:
          'The metadata of the authorization server was not verified against its issuer; nothing was signed',
      })
      expect([...params]).toEqual([])
    }
  })

  it('drops the discovery after the time for a sign-in, although it is saved again', async () => {
    vi.useFakeTimers()
    try {
      const wrapped = wrap(new Application(), { signInSeconds: 60 })
      await wrapped.saveDiscoveryState(state)
      wrapped.redirectToAuthorization()
      vi.advanceTimersByTime(59_000)
      expect(await wrapped.discoveryState()).toBe(state)
      await wrapped.saveDiscoveryState(state)
      vi.advanceTimersByTime(2000)
      expect(await wrapped.discoveryState()).toBeUndefined()
    } finally {
      vi.useRealTimers()
    }
  })

  it('still has its own invalidateCredentials called', async () => {
    const asked: string[] = []
    const application = Object.assign(new Application(), {
      invalidateCredentials(scope: string) {
        expect(this).toBe(application)
        asked.push(scope)
      },
    })
    await wrap(application).invalidateCredentials('all')
    expect(asked).toEqual(['all'])
  })

  it.each([
    ['nothing', undefined],
    ['a function without a method', () => {}],
    ['the method none', Object.assign(() => {}, { method: 'none' })],
    ['a string', 'private_key_jwt'],
  ])('cannot be made with %s as the authentication', (_what, wrong) => {
    expect(() =>
      withClientAuthentication(new Application(), wrong as unknown as ClientAuthentication),
    ).toThrow(
      expect.objectContaining({
        name: 'TypeError',
        message: expect.stringMatching(/"authentication" must be privateKeyJwt/),
      }),
    )
  })
})
