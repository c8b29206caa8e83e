import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { StepName, StepResult } from '../../packages/cli/src/doctor/step.ts'
import { answerAsMcp, bearer } from '../mcp/scripted-mcp.ts'
import { type AwsKms, startAwsKms } from '../servers/aws-kms.js'
import {
  startAcceptingOnly,
  startIssuerMixUp,
  startScriptedAuthorizationServer,
  startWithoutPrivateKeyJwt,
} from '../servers/hostile-authorization-server.js'
import {
  insufficientScope,
  startScriptedResource,
  unauthorized,
} from '../servers/hostile-resource.js'
import type { Answer, ScriptedRequest } from '../servers/scripted-server.js'
import { startStrictAuthorizationServer } from '../servers/strict-authorization-server.js'
import { errorResponse } from '../servers/token-responses.js'
import { keyPair } from '../support/key-pairs.js'
import { secretsIn } from '../support/secrets.js'
import { countersign, type Ended } from './command.ts'
import {
  clientId,
  closing,
  type DoctorFixtures,
  failedStep,
  startDoctorFixtures,
  writeKey,
} from './doctor-fixtures.ts'

/** Options of the command. */
type Options = Readonly<Record<string, string>>

function doctor(options: Options, ...flags: string[]): Promise<Ended> {
  return doctorIn({}, options, ...flags)
}

function doctorIn(env: Readonly<Record<string, string>>, options: Options, ...flags: string[]) {
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  return countersign(['doctor', ...args, ...flags], { env })
}

const whole = (fixtures: DoctorFixtures): Options => ({
  key: fixtures.keyFile,
  'client-id': clientId,
  mcp: fixtures.mcp.url,
})

function stepsOf({ stdout }: Ended): readonly StepResult[] {
  return JSON.parse(stdout)
}

/** Name and mark of each step that was printed for people. */
const printed = ({ stdout }: Ended) =>
  [...stdout.matchAll(/^([✓✗!-]) (.{21}) {2}/gm)].map(([, mark, name = '']) => [mark, name.trim()])

/** What is said on standard error when something takes more than a second, and nothing else is. */
const progress = /^(?:[A-Z][a-z ]+ …\n)*$/

const marks = { ok: '✓', failed: '✗', warning: '!', 'not reached': '-' }

/** One fault: the step that fails, the exit code, and what to do. */
interface Misconfiguration {
  readonly what: string
  readonly at: StepName
  readonly code: number
  readonly remedy: RegExp
  readonly change: (fixtures: DoctorFixtures) => Options | Promise<Options>
  readonly faults?: Parameters<typeof startDoctorFixtures>[0]
}

async function naming(issuer: string): Promise<Options> {
  const { url } = closing(await startScriptedResource({ authorizationServers: [issuer] }))
  return { mcp: url }
}

const otherKey = () => {
  const { privateKey } = keyPair('P-256', 1)
  return writeKey(String(privateKey.export({ type: 'pkcs8', format: 'pem' })))
}

const misconfigurations: readonly Misconfiguration[] = [
  {
    what: 'a key file that is not there',
    at: 'key',
    code: 3,
    remedy: /correct the name/,
    change: () => ({ key: '/nonexistent/key.pem' }),
  },
  {
    what: 'a key for another algorithm',
    at: 'key algorithm',
    code: 3,
    remedy: /leave the algorithm out of the key URI/,
    change: ({ keyFile }) => ({ key: `file://${keyFile}?alg=ES512` }),
  },
  {
    what: 'an MCP server that is down',
    at: 'mcp server',
    code: 4,
    remedy: /check that the server runs/,
    change: async ({ mcp }) => {
      await mcp.close()
      return {}
    },
  },
  {
    what: 'metadata of another resource',
    at: 'resource',
    code: 1,
    remedy: /use the URL that the metadata names as "resource"/,
    async change({ as }) {
      const resource = 'https://mcp.example/mcp'
      const it = closing(await startScriptedResource({ authorizationServers: [as.url], resource }))
      return { mcp: it.url }
    },
  },
  {
    what: 'a given issuer that the resource does not name',
    at: 'authorization server',
    code: 1,
    remedy: /give an issuer that the resource names/,
    change: () => ({ issuer: 'https://as.example' }),
  },
  {
    what: 'an issuer of plain http off loopback',
    at: 'https',
    code: 1,
    remedy: /use https/,
    change: () => naming('http://as.example'),
  },
  {
    what: 'an authorization server that is down',
    at: 'server metadata',
    code: 4,
    remedy: /check that the server runs/,
    async change({ as }) {
      await as.close()
      return {}
    },
  },
  {
    what: 'an issuer that its metadata does not name',
    at: 'issuer',
    code: 1,
    remedy: /give the issuer exactly as the authorization server states it/,
    change: async () => naming(closing(await startIssuerMixUp()).url),
  },
  {
    what: 'private_key_jwt not advertised',
    at: 'authentication method',
    code: 1,
    remedy: /enable private_key_jwt/,
    change: async () => naming(closing(await startWithoutPrivateKeyJwt()).url),
  },
  {
    what: 'the algorithm not advertised',
    at: 'signing algorithm',
    code: 1,
    remedy: /use a key of a listed algorithm/,
    change: async () => naming(closing(await startAcceptingOnly(['RS256'])).url),
  },
  {
    what: 'a clock 5 minutes behind that of the server',
    at: 'clock',
    code: 1,
    remedy: /set the clock of this machine/,
    faults: { as: { aheadSeconds: 300 } },
    change: () => ({}),
  },
  {
    what: 'a clock 5 minutes ahead of that of the server',
    at: 'clock',
    code: 1,
    remedy: /set the clock of this machine/,
    faults: { as: { aheadSeconds: -300 } },
    change: () => ({}),
  },
  {
    what: 'a wrong client identifier',
    at: 'token',
    code: 1,
    remedy: /the client "nobody" is registered/,
    change: () => ({ 'client-id': 'nobody' }),
  },
  {
    what: 'a key that is not registered',
    at: 'token',
    code: 1,
    remedy: /register the public key \(countersign jwks KEY; kid/,
    change: () => ({ key: otherKey() }),
  },
  {
    what: 'another audience wanted of assertions',
    at: 'token',
    code: 1,
    remedy: /give --audience token_endpoint; in code: privateKeyJwt\(signer, \{ audience: /,
    faults: { as: { audience: 'token endpoint' } },
    change: () => ({}),
  },
  {
    what: 'client_id wanted in the body, and typ JWT, as Spring has it',
    at: 'token',
    code: 1,
    remedy: /give --client-id-in-body and --typ JWT; in code: .*clientIdInBody: true, typ: 'JWT'/,
    faults: { as: { wantsClientId: true, typ: 'JWT' } },
    change: () => ({}),
  },
  {
    what: 'a client registered by its certificate, as Keycloak has it',
    at: 'token',
    code: 1,
    remedy: /give --kid spki-sha256; in code: privateKeyJwt\(signer, \{ kid: spkiThumbprint \}\)/,
    faults: { as: { byCertificate: true, refusalStatus: 400 } },
    change: () => ({}),
  },
  {
    what: 'a resource that has moved from the given authorization server to another one',
    at: 'authorization server',
    code: 1,
    remedy: /if the resource moved to that server, register the client there/,
    async change({ as }) {
      const { url } = closing(await startStrictAuthorizationServer())
      return { issuer: as.url, ...(await naming(url)) }
    },
  },
  {
    what: 'a token for another resource',
    at: 'token audience',
    code: 1,
    remedy: /into "aud" of the client's tokens/,
    faults: { as: { claims: (claims) => ({ ...claims, aud: 'https://other.example' }) } },
    change: () => ({}),
  },
  {
    what: 'tools that are refused with insufficient_scope',
    at: 'tools',
    code: 1,
    remedy: /grant the scope "admin" to the client/,
    faults: {
      as: {
        refuse: (form) =>
          form.get('scope')?.includes('admin') ? errorResponse('invalid_scope') : undefined,
      },
    },
    async change({ as }) {
      const { url } = closing(
        await startScriptedResource({
          authorizationServers: [as.url],
          answer(request, self) {
            if (bearer(request) === undefined) return unauthorized(self)
            return request.body.includes('tools/list')
              ? insufficientScope(self, 'admin')
              : answerAsMcp(request)
          },
        }),
      )
      return { mcp: url }
    },
  },
]

type KmsCase = readonly [
  what: string,
  at: StepName,
  remedy: RegExp,
  change: (kms: AwsKms, key: ReturnType<AwsKms['createKey']>) => void | Promise<void>,
]

describe('countersign doctor', { timeout: 60_000 }, () => {
  test('has a tick for every step when nothing is wrong', async () => {
    const fixtures = await startDoctorFixtures()
    const ended = await doctor(whole(fixtures))
    expect(ended).toMatchObject({ code: 0, stderr: expect.stringMatching(progress) })
    expect(ended.stdout).toBe(stripVTControlCharacters(ended.stdout))
    const lines = ended.stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(22)
    for (const one of lines) expect(one).toMatch(/^✓ [\w ]{21} {2}\S/)

    const json = await doctor(whole(fixtures), '--json')
    expect(json).toMatchObject({ code: 0, stderr: '' })
    for (const { state, found, expected } of stepsOf(json)) {
      expect({ state, found, expected }).toEqual({
        state: 'ok',
        found: expect.stringMatching(/./),
        expected: expect.stringMatching(/./),
      })
    }
    for (const { stdout } of [ended, json]) expectNoSecret(stdout, fixtures)
  })

  test.each(misconfigurations)(
    'finds $what, by name and remedy, and goes no further',
    async (it) => {
      const fixtures = await startDoctorFixtures(it.faults)
      const options = { ...whole(fixtures), ...(await it.change(fixtures)) }
      const json = await doctor(options, '--json')
      expect(json).toMatchObject({ code: it.code, stderr: '' })
      const steps = stepsOf(json)
      const broken = failedStep(steps)
      expect(broken.name).toBe(it.at)
      expect(broken.remedy).toMatch(it.remedy)

      const plain = await doctor(options)
      expect(plain).toMatchObject({ code: it.code, stderr: '' })
      expect(printed(plain)).toEqual(steps.map(({ name, state }) => [marks[state], name]))
      expect(plain.stdout).toMatch(it.remedy)
      expect(plain.stdout).toContain(`expected  ${broken.expected}`)
      for (const { stdout } of [json, plain]) expectNoSecret(stdout, fixtures)
    },
  )

  test.each([
    ['disabled', 'key', /^enable the key/, (kms, key) => kms.disableKey(key)],
    ['one that it may not sign with', 'key permission', /policy/, (kms) => kms.deny('Sign')],
    ['one that it may not read', 'key permission', /policy/, (kms) => kms.deny('GetPublicKey')],
    ['deleted', 'key', /^correct the name/, (kms, key) => kms.deleteKey(key)],
    ['in a service that is down', 'key store', /service runs/, (kms) => kms.close()],
  ] satisfies readonly KmsCase[])(
    'finds that a key in AWS KMS is %s',
    async (_what, at, remedy, change) => {
      const fixtures = await startDoctorFixtures()
      const kms = closing(await startAwsKms())
      const key = kms.importKey(keyPair('P-256').privateKey)
      kms.setAlias('alias/agent', key)
      const options = { ...whole(fixtures), key: 'awskms:///alias/agent', timeout: '10' }
      const healthy = await doctorIn(kms.env, options, '--json')
      expect(healthy.code).toBe(0)
      expect(stepsOf(healthy)[0]?.found).toBe('AWS KMS answers')

      await change(kms, key)
      const json = await doctorIn(kms.env, options, '--json')
      const plain = await doctorIn(kms.env, options)
      expect([json.code, plain.code]).toEqual([3, 3])
      const broken = failedStep(stepsOf(json))
      expect(broken).toMatchObject({ name: at, side: 'key' })
      expect(broken.remedy).toMatch(remedy)
      expect(printed(plain)).toEqual(stepsOf(json).map(({ name, state }) => [marks[state], name]))
      const { AWS_SECRET_ACCESS_KEY = '' } = kms.env
      for (const { stdout } of [json, plain]) expect(stdout).not.toContain(AWS_SECRET_ACCESS_KEY)
    },
  )

  test('ends with the token when only an issuer is given', async () => {
    const fixtures = await startDoctorFixtures()
    const { mcp: _, ...options } = whole(fixtures)
    const json = await doctor({ ...options, issuer: fixtures.as.url }, '--json')
    expect(json).toMatchObject({ code: 0, stderr: '' })
    expect(stepsOf(json).at(-1)).toMatchObject({ name: 'token', state: 'ok' })
    const withResource = { ...options, issuer: fixtures.as.url, resource: fixtures.mcp.url }
    const steps = stepsOf(await doctor(withResource, '--json'))
    expect(steps.at(-1)).toMatchObject({ name: 'token audience', state: 'ok' })
  })

  test.each([
    ['no key', { mcp: 'http://127.0.0.1:9/mcp', 'client-id': 'x' }, 'No key was given'],
    ['no client', { key: 'k.pem', mcp: 'http://127.0.0.1:9/mcp' }, '--client-id is missing'],
    ['no server', { key: 'k.pem', 'client-id': 'x' }, '--mcp or --issuer is missing'],
    [
      'a key URI that is none',
      { key: 'awskms://', 'client-id': 'x', mcp: 'http://127.0.0.1:9/mcp' },
      'names no key of AWS KMS',
    ],
  ])('refuses %s as a matter of its use', async (_what, options, message) => {
    const ended = await doctor(options as Options)
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toMatch(message)
  })

  test('prints nothing that a server repeats of what it was sent, and nothing that steers a terminal', async () => {
    const fixtures = await startDoctorFixtures()
    const evil = '\u001b[2J\u0007\u009b31m'
    const as = closing(
      await startScriptedAuthorizationServer({
        token: ({ form }) =>
          errorResponse('invalid_client', {
            description: `no client for ${form.get('client_assertion')} ${evil}`,
          }),
      }),
    )
    const tokens: string[] = []
    const repeating = async (answer: (token: string, request: ScriptedRequest) => Answer) => {
      const resource = await startScriptedResource({
        authorizationServers: [fixtures.as.url],
        answer(request, self) {
          const token = bearer(request)
          if (token === undefined) return unauthorized(self)
          tokens.push(token)
          return answer(token, request)
        },
      })
      return { mcp: closing(resource).url }
    }
    const servers = [
      { issuer: as.url, mcp: (await naming(as.url))['mcp'] ?? '' },
      await repeating((token) => new Response(`not ${token} ${evil}`, { status: 400 })),
      await repeating((token) => {
        const challenge = `Bearer error="insufficient_scope", scope="${token}"`
        return new Response(null, { status: 403, headers: { 'www-authenticate': challenge } })
      }),
      await repeating((token, request) => {
        if (!request.body.includes('"initialize"')) return answerAsMcp(request)
        const { id, params } = JSON.parse(request.body)
        const { protocolVersion } = params
        const serverInfo = { name: `${token} ${evil}`, version: token }
        const result = { protocolVersion, capabilities: { tools: {} }, serverInfo }
        return Response.json({ jsonrpc: '2.0', id, result })
      }),
      await naming(`http://127.0.0.1:9/${evil}`),
    ]
    for (const changed of servers) {
      for (const flags of [[], ['--json']]) {
        const { stdout, stderr } = await doctor({ ...whole(fixtures), ...changed }, ...flags)
        const text = stdout + stderr
        expect(stdout).toMatch('key store')
        expectNoSecret(text, fixtures)
        for (const secret of [...as.credentials, ...tokens]) expect(text).not.toContain(secret)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
        expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
      }
    }
    expect(tokens).not.toEqual([])
    expect(as.credentials).not.toEqual([])
  })
})

/** Neither an assertion nor a token that was sent, nor anything that looks like a secret. */
function expectNoSecret(text: string, { as, mcp }: DoctorFixtures): void {
  expect(secretsIn(text)).toEqual([])
  const tokens = mcp.requests.flatMap(({ bearer }) => (bearer === undefined ? [] : [bearer]))
  const sent = [...as.credentials, ...tokens]
  for (const secret of sent) expect(text).not.toContain(secret)
}
