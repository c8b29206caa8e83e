import { chmodSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { secretsIn } from '../support/secrets.js'
import { countersign } from './command.ts'
import { type Fixtures, startFixtures } from './fixtures.ts'

let fixtures: Fixtures
let url: string
beforeAll(async () => {
  fixtures = await startFixtures()
  url = fixtures.servers.mcpServer.url
})
afterAll(() => fixtures[Symbol.asyncDispose]())

/** Output without what differs from run to run. */
const steady = (text: string) =>
  text
    .replaceAll(fixtures.kid, 'KID')
    .replaceAll(fixtures.key, 'KEY-FILE')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'HOST')
    .replaceAll(/(?<="[xy]":\s*")[\w-]{43}/g, 'COORDINATE')
    .replaceAll(/(?<=BEGIN PUBLIC KEY-----)[\s\S]+?(?=-----END)/g, ' SPKI ')
    .replaceAll(/\bey[\w-]+\.[\w-]+\.[\w-]+/g, 'JWT')
    .replaceAll(/\d+(?:\.\d+)?(?= ms\b)|(?<="milliseconds": )\d+(?:\.\d+)?/g, '0.1')
    .replaceAll(/(?<="expires_in": )\d+|(?<=token for )\d+(?= s)/g, '3600')

/** The commands that print data, each with its arguments, and whether a token or an assertion is what they are for. */
const commands: Record<string, { args: () => string[]; printsJwt?: true }> = {
  inspect: { args: () => ['inspect'] },
  jwks: { args: () => ['jwks'] },
  'jwks --client-metadata': {
    args: () => [
      ...['jwks', '--client-metadata', 'https://agent.example/client.json'],
      ...['--client-name', 'Billing agent'],
    ],
  },
  assertion: { args: () => ['assertion'], printsJwt: true },
  token: { args: () => ['token', '--mcp', url], printsJwt: true },
  tools: { args: () => ['tools', url] },
  call: { args: () => ['call', url, 'add', '{"a":2,"b":3}'] },
  doctor: { args: () => ['doctor', '--mcp', url] },
}

test.each(
  Object.keys(commands).flatMap((name) => [
    [name, []],
    [name, ['--json']],
  ]) as [string, string[]][],
)('countersign %s %j prints this, and nothing that is secret', async (name, json) => {
  const command = commands[name]
  const { code, stdout, stderr } = await countersign([...(command?.args() ?? []), ...json], {
    env: fixtures.env,
  })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  if (command?.printsJwt === undefined) expect(secretsIn(stdout)).toEqual([])
  if (json.length > 0) JSON.parse(stdout)
  expect(steady(stdout)).toMatchSnapshot()
})

test.each([
  ['a key file that others can read', ['inspect'], 3],
  ['no key', ['inspect', '--key', ''], 2],
])('%s ends in this, plain and as JSON', async (what, args, code) => {
  const shared = what.startsWith('a key file')
  if (shared) chmodSync(fixtures.key, 0o644)
  try {
    const env = shared ? fixtures.env : { ...fixtures.env, COUNTERSIGN_KEY: '' }
    for (const json of [[], ['--json']]) {
      const ended = await countersign([...args, ...json], { env })
      expect(ended).toMatchObject({ code, stdout: '' })
      expect(steady(ended.stderr)).toMatchSnapshot()
    }
  } finally {
    chmodSync(fixtures.key, 0o600)
  }
})
