// @ts-check
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tlsIdentity } from '../support/certificate.js'
import { keyPair } from '../support/key-pairs.js'
import { badParameter, denials, notFound, refusal } from './azure-key-vault/errors.js'
import { faults } from './azure-key-vault/faults.js'
import { bundleOf, kidOf, newVersion, signature } from './azure-key-vault/store.js'
import { LoopbackAgent, listen } from './azure-key-vault/wire.js'

/** Domains of the clouds, each with the resource that its tokens are for. */
const domains = [
  'vault.azure.net',
  'vault.azure.cn',
  'vault.usgovcloudapi.net',
  'managedhsm.azure.net',
]

/**
 * @typedef {object} KeyOptions
 * @property {import('../support/key-pairs.js').KeyKind} [kind]  P-256 by default
 * @property {number} [nth]  of the pairs of that kind
 * @property {import('node:crypto').KeyObject} [privateKey]  instead of these
 * @property {boolean} [hsm]  whether the type is called RSA-HSM or EC-HSM
 * @property {string[]} [keyOps]
 * @property {boolean} [enabled]
 * @property {Date} [notBefore]
 * @property {Date} [expires]
 */

/**
 * @typedef {object} CreatedKey
 * @property {string} id  with the version
 * @property {string} versionlessId
 * @property {string} version
 * @property {import('node:crypto').KeyObject} privateKey
 */

/**
 * @typedef {object} FaultOptions
 * @property {'get' | 'sign'} [on]  sign by default
 * @property {number} [times]  how often, always by default
 * @property {number} [retryAfterSeconds]  of `throttle`
 */

/**
 * Azure Key Vault, or a Managed HSM, on a free port of 127.0.0.1: keys/get and keys/sign of its REST API over TLS, with
 * the challenge that its SDKs wait for, and with real keys.
 *
 * @typedef {object} AzureKeyVault
 * @property {string} url  `https://127.0.0.1:PORT`
 * @property {string} ca  in PEM
 * @property {string} token  the one bearer token that is accepted
 * @property {{ getToken: (scopes: string | string[]) => Promise<{ token: string, expiresOnTimestamp: number }> }} credential
 * @property {string[]} scopes  that the credential was asked for, in order
 * @property {{ disableChallengeResourceVerification: true, tlsOptions: { ca: string } }} clientOptions
 * @property {(host: string) => { vaultUrl: string, clientOptions: { agent: LoopbackAgent } }} reachAs  by a name of a cloud, with
 *   all checks of the SDK on; only the name is not that of this machine
 * @property {(name: string, options?: KeyOptions) => CreatedKey} createKey  another version, if there is a key by that name
 * @property {(id: string, change: KeyOptions) => void} updateKey  a new `privateKey` replaces the key without a new version
 * @property {(name: string) => void} deleteKey
 * @property {(operation: 'get' | 'sign', by: import('./azure-key-vault/errors.js').Denial) => void} deny
 * @property {(token: string) => void} setToken  accepted from now on, in place of the one before
 * @property {(fault: import('./azure-key-vault/faults.js').Fault, options?: FaultOptions) => void} fail
 * @property {(resource: string) => void} setResource  that the challenge asks a token for
 * @property {() => void} reset  removes all faults and denials
 * @property {import('./azure-key-vault/wire.js').KeyVaultRequest[]} requests
 * @property {() => string[]} calls  the operations of those that came with a token
 * @property {Record<string, string>} env  what a process needs to reach it by our own command
 * @property {() => Promise<void>} close
 * @property {() => Promise<void>} [Symbol.asyncDispose]
 */

/**
 * @param {object} [options]
 * @param {boolean} [options.managedHsm]
 * @param {number} [options.latencyMilliseconds]  of each answer
 * @returns {Promise<AzureKeyVault & AsyncDisposable>}
 */
export async function startAzureKeyVault({ managedHsm = false, latencyMilliseconds = 0 } = {}) {
  const tls = tlsIdentity(['localhost', ...domains.map((domain) => `*.${domain}`)])
  /** @type {Map<string, import('./azure-key-vault/store.js').Version[]>} */
  const keys = new Map()
  /** @type {import('./azure-key-vault/wire.js').KeyVaultRequest[]} */
  const requests = []
  /** @type {string[]} */
  const scopes = []
  /** @type {Map<string, import('./azure-key-vault/errors.js').Denial>} */
  const denied = new Map()
  /** @type {(FaultOptions & { fault: import('./azure-key-vault/faults.js').Fault, times: number })[]} */
  let broken = []
  let token = `canary-token-${randomBytes(12).toString('hex')}`
  /** @type {string | undefined} */
  let otherResource

  const { port, close: stop } = await listen(tls, async (request) => {
    requests.push(request)
    if (latencyMilliseconds > 0) await sleep(latencyMilliseconds)
    request.authorized = request.token === token
    return request.authorized ? outcomeOf(request) : challenge(request)
  })
  const url = `https://127.0.0.1:${port}`

  /** @param {import('./azure-key-vault/wire.js').KeyVaultRequest} request */
  function challenge({ host, token: wrong }) {
    const own = domains.find((domain) => host.replace(/:\d+$/, '').endsWith(`.${domain}`))
    const domain = own ?? (managedHsm ? 'managedhsm.azure.net' : 'vault.azure.net')
    const tenant = 'https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000'
    const message =
      wrong === undefined
        ? 'AKV10000: Request is missing a Bearer or PoP token.'
        : 'AKV10032: Invalid issuer.'
    const resource = otherResource ?? `https://${domain}`
    return {
      ...refusal(401, 'Unauthorized', message),
      headers: { 'WWW-Authenticate': `Bearer authorization="${tenant}", resource="${resource}"` },
    }
  }

  /**
   * @param {import('./azure-key-vault/wire.js').KeyVaultRequest} request
   * @returns {import('./azure-key-vault/faults.js').Outcome}
   */
  function outcomeOf({ host, path, operation, body, name, version }) {
    if (operation === 'other') return badParameter(`Method or path not supported: ${path}`)
    if (!new URL(path, url).searchParams.has('api-version')) {
      return badParameter('api-version must be specified')
    }
    const vaultUrl = `https://${host}`
    const versions = keys.get(name.toLowerCase()) ?? []
    const found =
      version === '' ? versions.at(-1) : versions.find((each) => each.version === version)
    const request = operation === 'sign' ? parsed(body) : undefined
    const by = denied.get(operation)
    const honest =
      by !== undefined
        ? denials[by](operation)
        : found === undefined
          ? notFound(version === '' ? name : `${name}/${version}`)
          : operation === 'get'
            ? { status: 200, body: bundleOf(vaultUrl, found) }
            : signature(vaultUrl, found, request)
    const failing = broken.find(({ on = 'sign', times }) => on === operation && times > 0)
    if (failing === undefined) return honest
    failing.times--
    const { fault, retryAfterSeconds } = failing
    return faults[fault]({
      vaultUrl,
      version: found,
      versions,
      request,
      answer: honest,
      retryAfterSeconds,
    })
  }

  /** @param {string} id */
  function requireVersion(id) {
    const [, name = '', version = ''] = /\/keys\/([^/]+)\/([^/]+)$/.exec(id) ?? []
    const found = keys.get(name.toLowerCase())?.find((each) => each.version === version)
    if (found === undefined) throw new Error(`there is no ${id}`)
    return found
  }

  const folder = mkdtempSync(join(tmpdir(), 'countersign-azure-'))
  const caFile = join(folder, 'ca.pem')
  writeFileSync(caFile, tls.ca)

  /** @type {Promise<void> | undefined} */
  let closing
  function close() {
    rmSync(folder, { recursive: true, force: true })
    closing ??= stop()
    return closing
  }

  return {
    url,
    ca: tls.ca,
    get token() {
      return token
    },
    credential: {
      async getToken(asked) {
        scopes.push(...[asked].flat())
        return { token, expiresOnTimestamp: Date.now() + 3_600_000 }
      },
    },
    scopes,
    clientOptions: { disableChallengeResourceVerification: true, tlsOptions: { ca: tls.ca } },
    reachAs: (host) => ({
      vaultUrl: `https://${host}:${port}`,
      clientOptions: { agent: new LoopbackAgent({ keepAlive: true, ca: tls.ca }) },
    }),
    createKey(name, { kind = 'P-256', nth = 0, ...options } = {}) {
      const created = {
        privateKey: keyPair(kind, nth).privateKey,
        hsm: managedHsm,
        keyOps: ['sign', 'verify'],
        enabled: true,
        notBefore: undefined,
        expires: undefined,
        created: new Date(),
        ...options,
        name,
        version: newVersion(),
      }
      keys.set(name.toLowerCase(), [...(keys.get(name.toLowerCase()) ?? []), created])
      const { version, privateKey } = created
      return { id: kidOf(url, created), versionlessId: `${url}/keys/${name}`, version, privateKey }
    },
    updateKey: (id, change) => void Object.assign(requireVersion(id), change),
    deleteKey: (name) => void keys.delete(name.toLowerCase()),
    deny: (operation, by) => void denied.set(operation, by),
    setToken(good) {
      token = good
    },
    fail: (fault, { times = Number.POSITIVE_INFINITY, ...options } = {}) =>
      void broken.push({ fault, times, ...options }),
    setResource(resource) {
      otherResource = resource
    },
    reset() {
      broken = []
      denied.clear()
      otherResource = undefined
    },
    requests,
    calls: () => requests.filter(({ authorized }) => authorized).map(({ operation }) => operation),
    get env() {
      return { NODE_EXTRA_CA_CERTS: caFile, COUNTERSIGN_AZURE_TOKEN: token }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** @param {string} body */
function parsed(body) {
  try {
    return JSON.parse(body)
  } catch {
    return {}
  }
}
