// @ts-check
import { randomUUID } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { faults } from './aws-kms/faults.js'
import { KeyStore } from './aws-kms/key-store.js'
import { KmsError } from './aws-kms/kms-error.js'
import { accessDenied, perform } from './aws-kms/operations.js'
import { read, send } from './aws-kms/wire.js'
import { listenOnLoopback } from './loopback.js'

/**
 * @typedef {import('./aws-kms/key-store.js').KmsKey} KmsKey
 * @typedef {import('./aws-kms/key-store.js').KeyOptions} KeyOptions
 * @typedef {import('./aws-kms/key-store.js').KeyKind} KeyKind
 * @typedef {import('./aws-kms/faults.js').Fault} Fault
 * @typedef {import('./aws-kms/faults.js').FaultName} FaultName
 * @typedef {'GetPublicKey' | 'Sign'} Operation
 * @typedef {import('./aws-kms/wire.js').KmsRequest} KmsRequest
 */

/**
 * @typedef {AwsKmsServer & AsyncDisposable} AwsKms
 *
 * @typedef {object} AwsKmsServer
 * @property {string} url
 * @property {string} region
 * @property {{ endpoint: string, region: string, credentials: { accessKeyId: string, secretAccessKey: string } }} client
 *   options of a `KMSClient` that reaches it
 * @property {Record<string, string>} env  the environment of a process that reaches it
 * @property {KmsRequest[]} requests  oldest first
 * @property {(kind: KeyKind, options?: KeyOptions) => KmsKey} createKey
 * @property {(privateKey: import('node:crypto').KeyObject, options?: KeyOptions) => KmsKey} importKey
 * @property {KeyStore['show']} showKey
 * @property {(name: string, key: KmsKey) => string} setAlias  makes or moves `alias/…`, and returns its ARN
 * @property {(key: KmsKey) => void} enableKey
 * @property {(key: KmsKey) => void} disableKey
 * @property {(key: KmsKey) => void} scheduleKeyDeletion
 * @property {(key: KmsKey) => void} deleteKey
 * @property {(...operations: Operation[]) => void} deny  for all clients, until {@link forget}
 * @property {(fault: FaultName, options?: { operation?: Operation, times?: number }) => void} fail  the next requests;
 *   all following requests by default
 * @property {() => void} forget  faults, denials and requests
 * @property {() => Promise<void>} close
 */

/**
 * Starts a server that speaks AWS JSON 1.1 as AWS KMS does and signs with real keys: the operations GetPublicKey and
 * Sign, for the unmodified SDK. That a request is signed by SigV4, and for this region, is checked; the signature is not.
 *
 * @param {object} [options]
 * @param {string} [options.region]
 * @param {number} [options.latencyMilliseconds]  of each answer
 * @returns {Promise<AwsKms>}
 */
export async function startAwsKms({ region = 'eu-west-1', latencyMilliseconds = 0 } = {}) {
  const store = new KeyStore(region)
  /** @type {KmsRequest[]} */
  const requests = []
  /** @type {{ fault: Fault, operation: Operation | undefined, left: number }[]} */
  let active = []
  /** @type {Set<string>} */
  const denied = new Set()

  const server = await listenOnLoopback(async (incoming, response) => {
    const body = await text(incoming).catch(() => undefined)
    if (body === undefined) return
    response.setHeader('x-amzn-requestid', randomUUID())
    try {
      const request = read(incoming, body, region)
      requests.push(request)
      response.once('close', () => {
        request.cut = !response.writableFinished
      })
      if (latencyMilliseconds > 0) await sleep(latencyMilliseconds)
      const fault = takeFault(request.operation)
      if (fault?.refuse !== undefined) throw fault.refuse()
      if (denied.has(request.operation)) throw accessDenied(request, store)
      const answer = JSON.stringify(perform(request, store, fault))
      if (fault?.send !== undefined) fault.send(response, answer)
      else send(response, { status: 200, headers: {}, body: answer })
    } catch (error) {
      if (!(error instanceof KmsError)) throw error
      send(response, error.response)
    }
  })

  /** @param {string} operation */
  function takeFault(operation) {
    const next = active.find(
      (one) => one.left > 0 && (one.operation === undefined || one.operation === operation),
    )
    if (next !== undefined) next.left--
    return next?.fault
  }

  const credentials = {
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'a-secret-access-key',
  }
  return {
    url: server.origin,
    region,
    client: { endpoint: server.origin, region, credentials },
    env: {
      AWS_ENDPOINT_URL_KMS: server.origin,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      // No settings of the machine and no instance metadata.
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/nonexistent',
      AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
    },
    requests,
    createKey: (kind, options) => store.create(kind, options),
    importKey: (privateKey, options) => store.import(privateKey, options),
    showKey: (kind, publicKey, options) => store.show(kind, publicKey, options),
    setAlias: (name, key) => store.setAlias(name, key),
    enableKey: (key) => setState(key, 'Enabled'),
    disableKey: (key) => setState(key, 'Disabled'),
    scheduleKeyDeletion: (key) => setState(key, 'PendingDeletion'),
    deleteKey: (key) => store.remove(key),
    deny: (...operations) => operations.forEach((operation) => void denied.add(operation)),
    fail(fault, { operation, times = Number.POSITIVE_INFINITY } = {}) {
      active.push({ fault: faults[fault], operation, left: times })
    },
    forget() {
      active = []
      denied.clear()
      requests.length = 0
    },
    close: server.close,
    [Symbol.asyncDispose]: server.close,
  }
}

/** @param {KmsKey} key @param {KmsKey['state']} state */
function setState(key, state) {
  key.state = state
}
