import { describe, expect, it } from 'vitest'
import { redirect } from '../servers/token-responses.js'
import { accepting, startResource } from './servers.ts'

function formData(): FormData {
  const form = new FormData()
  form.set('file', new Blob(['part']), 'name')
  return form
}

const replayable: [string, () => RequestInit['body'], RegExp][] = [
  ['a string', () => 'text', /^text$/],
  ['an empty string', () => '', /^$/],
  ['a form', () => new URLSearchParams({ a: 'b c' }), /^a=b\+c$/],
  ['a Uint8Array', () => new TextEncoder().encode('octets'), /^octets$/],
  ['a part of a Buffer', () => Buffer.from('xoctetsx').subarray(1, 7), /^octets$/],
  ['an ArrayBuffer', () => new TextEncoder().encode('octets').buffer, /^octets$/],
  ['a Blob', () => new Blob(['blob'], { type: 'text/x-mine' }), /^blob$/],
  ['a FormData', formData, /name="file"; filename="name"[\s\S]*part/],
  ['no body', () => undefined, /^$/],
  ['a null body', () => null, /^$/],
]

describe.each(replayable)('%s', (_what, body, expected) => {
  it('is sent again after a 401', async () => {
    const { source, api, resource, bearers } = await startResource({
      answer: accepting('token-2'),
    })
    const response = await source.fetch(resource, { method: 'POST', body: body() } as RequestInit)
    expect(await response.text()).toBe('welcome')
    expect(bearers()).toEqual(['token-1', 'token-2'])
    for (const request of api.requests) expect(request.body).toMatch(expected)
  })

  it('is sent again after a redirect that keeps the body', async () => {
    const { source, api, resource } = await startResource({
      answer: ({ path }) => (path === '/mcp' ? redirect('/mcp/to', 308) : new Response('here')),
    })
    const response = await source.fetch(resource, { method: 'PUT', body: body() } as RequestInit)
    expect(await response.text()).toBe('here')
    expect(api.requests.map(({ path }) => path)).toEqual(['/mcp', '/mcp/to'])
    for (const request of api.requests) expect(request.body).toMatch(expected)
  })
})

it('each request with a form has the boundary that its header names', async () => {
  const { source, api, resource } = await startResource({ answer: accepting('token-2') })
  await source.fetch(resource, { method: 'POST', body: formData() })
  for (const { headers, body } of api.requests) {
    const boundary = /boundary=(\S+)/.exec(headers['content-type'] ?? '')?.[1]
    expect(body).toContain(`--${boundary}`)
  }
})

async function* generated() {
  yield new TextEncoder().encode('generated')
}

const notReplayable: [string, () => RequestInit['body']][] = [
  ['a stream', () => new Blob(['streamed']).stream()],
  ['an async generator', () => generated() as unknown as RequestInit['body']],
]

describe.each(notReplayable)('%s', (_what, body) => {
  it('cannot be sent again: the caller gets the 401, and the next request has a new token', async () => {
    const { source, resource, bearers } = await startResource({ answer: accepting('token-2') })
    const init = () => ({ method: 'POST', body: body() ?? null, duplex: 'half' }) as RequestInit
    const response = await source.fetch(resource, init())
    expect([response.status, await response.text()]).toEqual([401, 'no'])
    expect(response.headers.get('www-authenticate')).toBe('Bearer')
    expect(await (await source.fetch(resource, init())).text()).toBe('welcome')
    expect(bearers()).toEqual(['token-1', 'token-2'])
  })
})

describe('a Request', () => {
  it('with a body cannot be sent again: the caller gets the 401', async () => {
    const { source, api, resource, bearers } = await startResource({
      answer: accepting('token-2'),
    })
    const request = () => new Request(resource, { method: 'POST', body: 'of the request' })
    expect((await source.fetch(request())).status).toBe(401)
    expect((await source.fetch(request())).status).toBe(200)
    expect(bearers()).toEqual(['token-1', 'token-2'])
    expect(api.requests.map(({ body }) => body)).toEqual(['of the request', 'of the request'])
  })

  it('without a body is sent again', async () => {
    const { source, resource, bearers } = await startResource({ answer: accepting('token-2') })
    const response = await source.fetch(new Request(resource, { method: 'DELETE' }))
    expect(response.status).toBe(200)
    expect(bearers()).toEqual(['token-1', 'token-2'])
  })

  it('keeps its method, headers and body', async () => {
    const { source, api, resource } = await startResource()
    const headers = { 'x-mine': 'yes', 'content-type': 'text/x-mine' }
    await source.fetch(new Request(resource, { method: 'PATCH', body: 'of it', headers }))
    expect(api.requests).toMatchObject([{ method: 'PATCH', body: 'of it', headers }])
  })

  it('is overridden by the second argument, except by members that are undefined', async () => {
    const { source, api, resource } = await startResource({ answer: accepting('token-2') })
    const init = { method: 'PATCH', body: 'of the request', headers: { 'x-mine': 'yes' } }
    const nothing: object = { method: undefined, headers: undefined, signal: undefined }
    await source.fetch(new Request(resource, init), {
      body: 'beside it',
      ...nothing,
    } as RequestInit)
    await source.fetch(new Request(resource, init), { method: 'PUT', headers: { 'x-mine': 'no' } })
    expect(api.requests).toMatchObject([
      { method: 'PATCH', body: 'beside it', headers: { 'x-mine': 'yes' } },
      { method: 'PATCH', body: 'beside it', headers: { 'x-mine': 'yes' } },
      { method: 'PUT', body: 'of the request', headers: { 'x-mine': 'no' } },
    ])
  })

  it('keeps its integrity hash', async () => {
    const { source, resource } = await startResource()
    const integrity = 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
    await expect(source.fetch(new Request(resource, { integrity }))).rejects.toThrow(TypeError)
  })
})
