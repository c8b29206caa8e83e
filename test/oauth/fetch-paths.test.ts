import { describe, expect, it } from 'vitest'
import { startDecodingProxy } from '../servers/decoding-proxy.js'
import { startScriptedServer } from '../servers/scripted-server.js'
import { closing } from './fixtures.ts'
import { bearerOf, startTokenSource } from './servers.ts'

type Reading = Parameters<typeof startDecodingProxy>[1]

const readings: [string, Reading][] = [
  ['decodes, as nginx does', {}],
  ['decodes before a server that decodes again', { passes: 2 }],
  ['drops parameters of segments', { parameters: true }],
  ['drops parameters, before a server that decodes again', { parameters: true, passes: 2 }],
  ['takes a backslash for a slash', { backslashes: true }],
]

/** A resource at `/mcp` of a server behind a proxy. */
async function startBehindProxy(reading: Reading) {
  const api = closing(await startScriptedServer(() => new Response('welcome')))
  const proxy = closing(await startDecodingProxy(api.url, reading))
  const { source } = await startTokenSource(undefined, { resource: `${proxy.origin}/mcp` })
  return {
    async visit(path: string) {
      await source.fetch(proxy.origin + path)
    },
    withToken: () =>
      api.requests.filter(({ headers }) => bearerOf(headers) === 'token-1').map(({ path }) => path),
    all: () => api.requests.map(({ path }) => path),
  }
}

describe.each(readings)('behind a proxy that %s', (_what, reading) => {
  it('the token never leaves its path', async () => {
    const { visit, withToken, all } = await startBehindProxy(reading)
    const escapes = [
      '/mcp//..%2fother',
      '/mcp/x//..%2f..%2fother',
      '/mcp/%2f..%2fother',
      '/mcp//%2e%2e%2fother',
      '/mcp/..%5cother',
      '/mcp/%2e%2e%5Cother',
      '/mcp/%252e%252e/other',
      '/mcp/..%252fother',
      '/mcp/x/..%255c..%255cother',
      '/mcp/..;/other',
      '/mcp/x/..;v=1/%2e%2e;/other',
      '/mcp/..%3b/other',
      '/mcp/..%3B%2fother',
    ]
    for (const path of [...escapes, ...randomPaths(300)]) await visit(path)
    expect(all().filter((path) => path === '/other')).not.toEqual([])
    expect(withToken().filter((path) => !/^\/mcp(\/|$)/.test(path))).toEqual([])
    expect(withToken()).not.toEqual([])
  })

  it('the token goes to what is below its path', async () => {
    const { visit, withToken } = await startBehindProxy(reading)
    for (const path of ['/mcp', '/mcp/', '/mcp//a', '/mcp/a/../b', '/mcp/caf%C3%A9', '/mcp/..x'])
      await visit(path)
    expect(withToken()).toHaveLength(6)
  })
})

/** Paths below `/mcp` from the parts that servers read in different ways; the same ones in each run. */
function randomPaths(count: number): string[] {
  const parts = ['..', '%2e', '%2e%2e', '/', '//', '%2f', '%5c', '\\', '%252f', '%25', ';a', '%3b']
  const names = ['other', 'x', '.', 'mcp']
  let state = 7
  const pick = (list: readonly string[]) => {
    state = (state * 1103515245 + 12345) % 2 ** 31
    return list[Math.floor(state / 65536) % list.length] ?? ''
  }
  return Array.from({ length: count }, () => {
    const length = 2 + Number(pick(['0', '1', '2', '3', '4']))
    return `/mcp/${Array.from({ length }, () => pick([...parts, ...names])).join('')}`
  })
}
