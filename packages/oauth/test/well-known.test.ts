import {
  discoverAuthorizationServer,
  discoverProtectedResource,
  type Fetch,
} from '@countersign/oauth'
import { describe, expect, it } from 'vitest'

const issuer = 'https://as.test'

describe('the well-known locations', () => {
  const located = async (discover: (fetch: Fetch) => Promise<unknown>) => {
    const requests: string[] = []
    const fetch: Fetch = async (url, init) => {
      requests.push(`${url} ${new Headers(init?.headers).get('accept')} ${init?.redirect}`)
      return new Response(null, { status: 404 })
    }
    await expect(discover(fetch)).rejects.toMatchObject({ code: 'ERR_OAUTH_DISCOVERY' })
    return requests
  }
  const at = (origin: string, ...paths: string[]) =>
    paths.map((path) => `${origin}/${path} application/json manual`)

  it.each([
    ['', '/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'],
    [
      '/a/b/',
      '/.well-known/oauth-authorization-server/a/b',
      '/.well-known/openid-configuration/a/b',
      '/a/b/.well-known/openid-configuration',
    ],
  ])('of an issuer with the path %j', async (path, ...paths) => {
    const requests = await located((fetch) => discoverAuthorizationServer(issuer + path, { fetch }))
    expect(requests).toEqual(at(issuer, ...paths.map((location) => location.slice(1))))
  })

  it.each([
    ['/', '.well-known/oauth-protected-resource'],
    ['/a/?b', '.well-known/oauth-protected-resource/a/', '.well-known/oauth-protected-resource'],
  ])('of a resource with the path %j', async (path, ...paths) => {
    const requests = await located((fetch) => discoverProtectedResource(issuer + path, { fetch }))
    expect(requests).toEqual(at(issuer, ...paths))
  })
})
