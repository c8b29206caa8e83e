// @ts-check
// Runs the MCP conformance suite with a client of each SDK major. The suite itself does not run on Node 20; the clients
// run on the Node that runs this file.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findProgram } from '../support/debian.js'
import { LaneReport } from '../support/lane-report.js'
import { nodeBinary, nodeBinaryMissing } from '../support/node-binary.js'
import { ministack } from '../support/python.js'
import { run } from '../support/run.js'
import { findSoftHsm } from '../support/softhsm.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const suite = fileURLToPath(import.meta.resolve('@modelcontextprotocol/conformance/dist/index.js'))
const timeoutSeconds = 60

const hasSoftHsm = findSoftHsm() !== undefined && findProgram('softhsm2-util') !== undefined

/** The key stores that the client's key is imported into, each with the reason why that is not possible here. */
const places = {
  softhsm: hasSoftHsm ? undefined : 'SoftHSM is not installed',
  'aws-kms': undefined,
  'azure-key-vault': undefined,
  'gcp-kms': undefined,
  ministack: await ministack.install(),
}

/**
 * The scenarios without an interaction of a user, each with its main check, and the key stores that it runs with.
 *
 * @type {Readonly<Record<string, { subject: string, stores: readonly (keyof typeof places)[] }>>}
 */
const scenarios = {
  'auth/client-credentials-jwt': {
    subject: 'ClientCredentialsJwtVerified',
    stores: ['softhsm', 'aws-kms', 'azure-key-vault', 'gcp-kms', 'ministack'],
  },
  'auth/client-credentials-basic': { subject: 'ClientCredentialsBasicAuth', stores: [] },
  'auth/wif-jwt-bearer': { subject: 'WifAssertionVerified', stores: [] },
  'auth/enterprise-managed-authorization': {
    subject: 'CompleteFlowJwtBearer',
    stores: ['softhsm'],
  },
}

/**
 * The scenarios in which a client with a user fails once it authenticates by an assertion: why, and which checks fail.
 *
 * @type {Readonly<Record<string, { why: string, checks: readonly string[] }>>}
 */
const differences = {
  'auth/token-endpoint-auth-basic': {
    why: 'the server demands a secret',
    checks: ['Token endpoint authentication method'],
  },
  'auth/token-endpoint-auth-post': {
    why: 'the server demands a secret',
    checks: ['Token endpoint authentication method'],
  },
  'auth/pre-registration': {
    why: 'the server demands a secret',
    checks: ['Pre-registration authentication'],
  },
  'auth/2025-03-26-oauth-endpoint-fallback': {
    why: 'without metadata, the server that an assertion is for cannot be verified',
    checks: ['client-registration', 'authorization-request', 'token-request'].map(
      (id) => `Expected Check Missing: ${id}`,
    ),
  },
}

/** @typedef {{ name: string, description: string, status: string, errorMessage?: string }} Check */

const folder = mkdtempSync(join(tmpdir(), 'countersign-conformance-'))

/**
 * Runs one scenario with one client.
 *
 * @param {string} node that the suite runs on
 * @param {string} scenario
 * @param {string} client
 * @param {string} variant
 */
async function play(node, scenario, client, variant) {
  const output = mkdtempSync(join(folder, 'run-'))
  const outcome = await run(
    node,
    // The suite splits the command at spaces.
    [
      suite,
      'client',
      '--command',
      `node ${client} ${variant}`,
      '--scenario',
      scenario,
      '-o',
      output,
    ],
    {
      cwd: here,
      env: { PATH: `${join(process.execPath, '..')}:${process.env['PATH']}` },
      timeoutSeconds,
    },
  )
  const file = readdirSync(output, { recursive: true, encoding: 'utf8' }).find((name) =>
    name.endsWith('checks.json'),
  )
  /** @type {Check[]} */
  const log = file === undefined ? [] : JSON.parse(readFileSync(join(output, file), 'utf8'))
  // In addition to its checks, the suite logs every request as INFO.
  return { ...outcome, checks: log.filter(({ status }) => status !== 'INFO') }
}

/**
 * Every scenario of the suite about signing a user in.
 *
 * @param {string} node that the suite runs on
 */
async function signInScenarios(node) {
  const { output } = await run(node, [suite, 'list', '--client'], {
    output: 'capture',
    timeoutSeconds,
  })
  return [...output.matchAll(/- (auth\/\S+) \[(.+)\]/g)].flatMap(([, name = '', versions]) =>
    versions === 'extension' ? [] : [name],
  )
}

/**
 * A client with a user, as it is and wrapped by `withClientAuthentication`.
 *
 * @param {string} node that the suite runs on
 * @param {LaneReport} report
 */
async function playSignIns(node, report) {
  const names = await signInScenarios(node)
  await report.check('the suite has the scenarios that are listed as different', () => {
    const gone = Object.keys(differences).filter((name) => !names.includes(name))
    if (gone.length > 0) throw new Error(gone.join(', '))
  })
  for (const name of names) {
    const client = 'client-v2-sign-in.mjs'
    const [plain, wrapped] = await Promise.all([
      play(node, name, client, 'plain'),
      play(node, name, client, 'wrapped'),
    ])
    await report.check(`${name}, SDK v2 with a user: the suite passes`, () => {
      if (plain.code !== 0) throw new Error(plain.output)
    })
    const difference = differences[name]
    const claim = difference === undefined ? 'the suite passes' : `fails, since ${difference.why}`
    await report.check(`${name}, SDK v2 with a user and an assertion: ${claim}`, () => {
      const failures = wrapped.checks.filter(({ status }) => status === 'FAILURE')
      const failed = [...new Set(failures.map(({ name }) => name))]
      const expected = difference?.checks ?? []
      if (String(failed) !== String(expected) || (wrapped.code === 0) !== (expected.length === 0)) {
        throw new Error(`Failed: ${failed.join(', ')}\n${wrapped.output}`)
      }
    })
  }
}

/** The scenarios in which tokens are bound to a key, for a client with a user. */
const dpopScenarios = ['auth/dpop', 'auth/dpop-nonce']

/**
 * A client with a user that authenticates by an assertion, and binds its tokens to a key.
 *
 * @param {string} node that the suite runs on
 * @param {LaneReport} report
 */
async function playDpop(node, report) {
  const variants = hasSoftHsm ? ['dpop', 'dpop-softhsm'] : ['dpop']
  for (const scenario of dpopScenarios) {
    for (const client of ['client-v1-sign-in.mjs', 'client-v2-sign-in.mjs']) {
      for (const variant of variants) {
        const { checks, code, output } = await play(node, scenario, client, variant)
        const title = `${scenario}, ${client}, ${variant}`
        for (const { name, description, status, errorMessage } of checks) {
          await report.check(`${title}: ${name}`, () => {
            if (status !== 'SUCCESS') throw new Error(`${status}: ${errorMessage ?? description}`)
          })
        }
        await report.check(`${title}: the suite checked it and passes`, () => {
          if (code !== 0 || checks.length === 0) throw new Error(output)
        })
      }
    }
    await report.check(`${scenario}: a client with bearer tokens is detected`, async () => {
      const { code } = await play(node, scenario, 'client-v2-sign-in.mjs', 'wrapped')
      if (code === 0) throw new Error('The suite passed it.')
    })
  }
}

/**
 * A workload whose JWT has expired.
 *
 * @param {string} node that the suite runs on
 * @param {LaneReport} report
 */
async function playExpiredJwt(node, report) {
  for (const client of ['client-v1.mjs', 'client-v2.mjs']) {
    const { checks } = await play(node, 'auth/wif-jwt-bearer', client, 'expired')
    const title = `auth/wif-jwt-bearer, ${client}: an expired JWT is sent once, without another grant`
    await report.check(title, () => {
      const failed = checks.filter(({ status }) => status !== 'SUCCESS').map(({ name }) => name)
      if (String(failed) !== 'WifAssertionExpired') throw new Error(failed.join(', '))
    })
  }
}

/** @param {string} node */
async function playAll(node) {
  const report = new LaneReport()
  await playDpop(node, report)
  await playSignIns(node, report)
  for (const [scenario, { subject, stores }] of Object.entries(scenarios)) {
    for (const major of ['v1', 'v2']) {
      const variants = ['fetch', 'oauth-client-provider']
      if (major === 'v2') variants.push('auth-provider')
      variants.push(...stores.filter((store) => places[store] === undefined))
      const client = `client-${major}.mjs`
      const plays = await Promise.all(
        variants.map((variant) => play(node, scenario, client, variant)),
      )
      for (const [index, { checks, code, output }] of plays.entries()) {
        const title = `${scenario}, SDK ${major}, ${variants[index]}`
        for (const { name, description, status, errorMessage } of checks) {
          await report.check(`${title}: ${name}`, () => {
            if (status !== 'SUCCESS') throw new Error(`${status}: ${errorMessage ?? description}`)
          })
        }
        await report.check(`${title}: the suite checked it and passes`, () => {
          if (code !== 0) throw new Error(output)
          if (!checks.some(({ name }) => name === subject)) throw new Error(`No ${subject}.`)
        })
      }
    }
    await report.check(
      `${scenario}: a client with another key, secret or JWT is detected`,
      async () => {
        const { checks, code } = await play(node, scenario, 'client-v2.mjs', 'faulty')
        const seen = checks.some(({ name, status }) => name === subject && status === 'FAILURE')
        if (code === 0 || !seen) throw new Error('The suite passed it.')
      },
    )
  }
  await playExpiredJwt(node, report)
  for (const [place, obstacle] of Object.entries(places)) {
    if (obstacle !== undefined) report.skip(`the key in ${place}`, obstacle)
  }
  report.finish()
}

/** The reason why the suite cannot run here, if there is one. */
const obstacle = Number(process.versions.node.split('.')[0]) >= 22 ? undefined : nodeBinaryMissing

try {
  if (obstacle === undefined) {
    await playAll(nodeBinaryMissing === undefined ? nodeBinary(22) : process.execPath)
  } else {
    const report = new LaneReport()
    report.skip('the MCP conformance suite', obstacle)
    report.finish()
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
