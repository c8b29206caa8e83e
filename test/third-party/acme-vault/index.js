import { SignerError } from '@countersign/core'
import {
  chooseAlgorithm,
  describeNetworkFailure,
  loadSigner,
  ownOptions,
  requireString,
  timeoutSignal,
} from '@countersign/core/backend'

const service = {
  name: 'acme-vault',
  /** @param {unknown} error */
  describeError: (error) => describeNetworkFailure(error, 'Acme Vault'),
}

/** @type {ReadonlyMap<number, [import('@countersign/core').SignerErrorCode, string]>} */
const failures = new Map([
  [401, ['ERR_SIGNER_ACCESS_DENIED', 'set ACME_VAULT_TOKEN to a valid token']],
  [403, ['ERR_SIGNER_ACCESS_DENIED', 'allow the token to read the key and to sign with it']],
  [404, ['ERR_SIGNER_KEY_NOT_FOUND', 'check the name and the version of the key']],
  [409, ['ERR_SIGNER_KEY_DISABLED', 'enable the key, or use another one']],
  [429, ['ERR_SIGNER_THROTTLED', 'try later']],
])

/**
 * Returns a function that sends one request to Acme Vault.
 *
 * @param {string} url
 * @param {string} token
 */
function connect(url, token) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  /**
   * @param {'GET' | 'POST' | 'DELETE'} method
   * @param {string} path
   * @param {AbortSignal} signal
   * @param {object} [body]
   * @returns {Promise<any>} what the JSON of the answer contains
   */
  return async (method, path, signal, body) => {
    const json = body === undefined ? null : JSON.stringify(body)
    const init = /** @type {const} */ ({ method, headers, body: json, redirect: 'error', signal })
    const response = await fetch(`${url}/v1${path}`, init)
    if (response.ok) return response.json()
    const { status } = response
    const [code, advice] = failures.get(status) ?? ['ERR_SIGNER_UNAVAILABLE', 'try later']
    const message = `Acme Vault answered with HTTP status ${status}; ${advice}`
    throw new SignerError(code, message, { backend: service.name })
  }
}

/**
 * @typedef {{ key: string, version?: string }} AcmeVaultKey
 * @typedef {import('@countersign/core/backend').LoadSignerOptions} LoadSignerOptions
 */

/**
 * Makes a signer with one version of a key of Acme Vault: the newest, if `version` is left out.
 *
 * @param {AcmeVaultKey & LoadSignerOptions & { url: string, token: string }} options
 */
export async function acmeVaultSigner(options) {
  const { url, token, key, version: wanted = 'newest', ...settings } = ownOptions(options)
  for (const [name, value] of Object.entries({ url, token, key })) requireString(value, name)
  const call = connect(url, token)

  return loadSigner(
    service,
    async (signal, onClose) => {
      const { session } = await call('POST', '/sessions', signal)
      onClose(() => call('DELETE', `/sessions/${session}`, timeoutSignal(5)))
      const path = `/keys/${key}/versions`
      const { version, publicKey, algorithms } = await call('GET', `${path}/${wanted}`, signal)
      const alg = chooseAlgorithm(settings.alg, algorithms, service.name)
      return {
        alg,
        publicKey,
        signatureFormat: 'der',
        async sign({ digest, message, signal }) {
          const input = Buffer.from(digest ?? message).toString('base64')
          const body = { session, alg, input }
          const { signature } = await call('POST', `${path}/${version}/sign`, signal, body)
          return Buffer.from(signature, 'base64')
        },
      }
    },
    settings,
  )
}

/** @type {import('@countersign/uri').KeyScheme<AcmeVaultKey>} */
const acmeVault = {
  name: 'acme-vault',

  parse({ path, attributes }) {
    const { version } = attributes(['version'])
    if (/^\/\/\/[\w-]+$/.test(path) && /^\d*$/.test(version ?? '')) {
      return { key: path.slice(3), ...(version && { version }) }
    }
    const message = 'This acme-vault: URI names no key; write acme-vault:///NAME?version=NUMBER'
    throw new SignerError('ERR_SIGNER_CONFIG', message, { backend: service.name })
  },

  format: ({ key, version }) => ({ path: `///${key}`, attributes: { version } }),

  async open({ key, version, alg, kid }, { timeoutSeconds, signal }) {
    const { ACME_VAULT_URL: url, ACME_VAULT_TOKEN: token } = process.env
    if (url && token) {
      const options = { url, token, key, alg, kid, timeoutSeconds, signal }
      return acmeVaultSigner(version ? { ...options, version } : options)
    }
    const message = 'Acme Vault needs a URL and a token; set ACME_VAULT_URL and ACME_VAULT_TOKEN'
    throw new SignerError('ERR_SIGNER_CONFIG', message, { backend: service.name })
  },
}

export const schemes = [acmeVault]
