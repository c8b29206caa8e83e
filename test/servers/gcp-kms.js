// @ts-check
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadPackageDefinition, Metadata, Server, ServerCredentials } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { sdkEntry } from '../support/sdk.js'
import { refusals, wrongPublicKeys, wrongSignatures } from './gcp-kms/faults.js'
import { openFront } from './gcp-kms/front.js'
import { KeyStore } from './gcp-kms/key-store.js'
import { asymmetricSign, getPublicKey, listCryptoKeyVersions } from './gcp-kms/methods.js'
import { createRestServer } from './gcp-kms/rest.js'
import { StatusError } from './gcp-kms/status.js'

const require = createRequire(import.meta.url)

/** The SDK that is tested: the workspace's, or another one that the environment names. */
const sdk = sdkEntry('@google-cloud/kms') ?? require.resolve('@google-cloud/kms')

/** @typedef {import('./gcp-kms/faults.js').Method} Method */

/**
 * - The names in `refusals`, `wrongSignatures` and `wrongPublicKeys` of gcp-kms/faults.js;
 * - `hang` never answers, `cut` resets every connection when a request arrives, and `cut-short` (over gRPC) when the
 *   answer has begun;
 * - `html` cuts them at once, and answers each new one with a page of HTML.
 *
 * @typedef {string} Fault
 *
 * @typedef {object} FaultOptions
 * @property {Method} [method]  the only method that is affected; all by default
 * @property {number} [after]  how many of its requests succeed first
 * @property {number} [times]  how often it happens; always by default
 *
 * @typedef {{ method: Method, request: any, aborted: boolean }} RecordedCall
 *   `request` as the service read it; `aborted` once the client gave up
 *
 * @typedef {object} GcpKms
 * @property {number} port
 * @property {string} url  `http://127.0.0.1:PORT`: gRPC, and REST as well
 * @property {{}} env  nothing: the SDK has no environment variable for its endpoint
 * @property {RecordedCall[]} requests  oldest first
 * @property {readonly string[]} tokens  the access tokens that came with them
 * @property {(method: Method) => number} count  the requests of one method
 * @property {KeyStore['createKey']} createKey
 * @property {KeyStore['createVersion']} createVersion
 * @property {KeyStore['removeKey']} removeKey
 * @property {KeyStore['setState']} setState
 * @property {(name: string) => import('./gcp-kms/key-store.js').Version} version
 * @property {(fault: Fault, options?: FaultOptions) => void} fail
 * @property {() => void} heal  ends all faults
 * @property {() => void} forget  ends all faults and empties the log
 * @property {(milliseconds: number) => void} setLatency
 * @property {() => number} connections  how many are open
 * @property {() => any} clientOptions  for a `KeyManagementServiceClient`, over gRPC
 * @property {(token?: string) => any} restOptions  for one in the SDK's REST mode, whose HTTP client throws error answers
 * @property {(token?: string) => any} fetchOptions  the same, with a client whose `fetch` returns error responses instead of throwing
 * @property {() => Promise<void>} close
 * @property {() => Promise<void>} [Symbol.asyncDispose]
 */

/**
 * Starts a test server for Google Cloud KMS on loopback, without TLS and authentication. It signs with real keys.
 *
 * @param {{ versionsPerPage?: number, port?: number }} [options]
 * @returns {Promise<GcpKms & AsyncDisposable>}
 */
export async function startGcpKms({ versionsPerPage = 100, port = 0 } = {}) {
  const keys = new KeyStore()
  /** @type {RecordedCall[]} */
  const requests = []
  /** @type {{ fault: Fault, method: Method | undefined, spared: number, left: number }[]} */
  let faults = []
  /** @type {string[]} */
  const tokens = []
  let latency = 0

  /** @param {Method} method */
  function takeFault(method) {
    const found = faults.find((one) => one.method === undefined || one.method === method)
    if (found === undefined || found.spared-- > 0) return undefined
    found.left -= 1
    if (found.left <= 0) faults = faults.filter((one) => one !== found)
    return found.fault
  }

  /**
   * @param {Method} method
   * @param {any} request
   * @param {{ authorization?: string | undefined, onAborted?: (listener: () => void) => void, begin?: () => Promise<void> }} circumstances
   */
  async function answer(method, request, { authorization, onAborted, begin }) {
    const call = { method, request, aborted: false }
    requests.push(call)
    const [, token] = /^Bearer (.*)$/.exec(authorization ?? '') ?? []
    if (token !== undefined) tokens.push(token)
    onAborted?.(() => {
      call.aborted = true
    })
    if (latency > 0) await sleep(latency)
    const fault = takeFault(method) ?? ''
    if (fault === 'hang') await new Promise(() => {})
    if (fault === 'cut' || fault === 'cut-short') {
      // The headers of the response have been sent by then.
      if (fault === 'cut-short') await begin?.()
      if (!call.aborted) front.cut()
      await new Promise(() => {})
    }
    const refusal = refusals[fault]
    if (refusal !== undefined) throw refusal(method, request.name ?? request.parent)
    if (method === 'ListCryptoKeyVersions') {
      return listCryptoKeyVersions(keys, request, versionsPerPage)
    }
    if (method === 'GetPublicKey') {
      const right = getPublicKey(keys, request)
      return wrongPublicKeys[fault]?.(right, keys) ?? right
    }
    return wrongSignatures[fault]?.({ keys, request }) ?? asymmetricSign(keys, request)
  }

  const grpc = createGrpcServer(answer)
  const rest = createRestServer(answer)
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure())
  const front = await openFront(
    {
      http2: (socket) => injector.injectConnection(socket),
      http1: (socket) => void rest.emit('connection', socket),
    },
    port,
  )

  function heal() {
    faults = []
    front.gateway(false)
  }

  const restPlace = () => ({
    fallback: true,
    protocol: 'http',
    apiEndpoint: '127.0.0.1',
    port: front.port,
    projectId: 'countersign-test',
  })

  async function close() {
    await front.close()
    injector.destroy()
    grpc.forceShutdown()
    rest.closeAllConnections()
  }

  return {
    port: front.port,
    url: `http://127.0.0.1:${front.port}`,
    env: {},
    requests,
    tokens,
    count: (method) => requests.filter((one) => one.method === method).length,
    createKey: (material) => keys.createKey(material),
    createVersion: (key, material) => keys.createVersion(key, material),
    removeKey: (key) => keys.removeKey(key),
    setState: (name, state) => keys.setState(name, state),
    version: (name) => keys.version(name),
    fail(fault, { method, after = 0, times = Number.POSITIVE_INFINITY } = {}) {
      const known = [
        refusals,
        wrongSignatures,
        wrongPublicKeys,
        { hang: 0, cut: 0, 'cut-short': 0, html: 0 },
      ]
      if (!known.some((faults) => Object.hasOwn(faults, fault)))
        throw new Error(`no fault ${fault}`)
      if (fault === 'html') front.gateway(true)
      else faults.push({ fault, method, spared: after, left: times })
    },
    heal,
    forget() {
      if (faults.length > 0) faults = []
      front.gateway(false)
      requests.length = 0
    },
    connections: () => front.connections(),
    setLatency(milliseconds) {
      latency = milliseconds
    },
    clientOptions: () => ({
      apiEndpoint: '127.0.0.1',
      port: front.port,
      projectId: 'countersign-test',
      // From the SDK's own copy of gRPC, which accepts no other copy's.
      sslCreds: createRequire(sdk)('google-gax').grpc.credentials.createInsecure(),
      // Without one the SDK looks for credentials even where it needs none, and asks the metadata server for them.
      authClient: { universeDomain: 'googleapis.com' },
    }),
    restOptions: (token = 'none') => ({ ...restPlace(), authClient: authClient(token) }),
    fetchOptions: (token = 'none') => ({
      ...restPlace(),
      authClient: {
        universeDomain: 'googleapis.com',
        getRequestHeaders: async () => new Headers({ authorization: `Bearer ${token}` }),
        fetch: (/** @type {string} */ url, /** @type {RequestInit} */ { headers, ...init }) => {
          const all = new Headers(headers)
          all.set('authorization', `Bearer ${token}`)
          return fetch(url, { ...init, headers: all })
        },
      },
    }),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/**
 * A client of the SDK's own copy of `google-auth-library`, with an access token that it need not fetch.
 *
 * @param {string} token
 */
function authClient(token) {
  const client = new (createRequire(sdk)('google-gax').googleAuthLibrary.OAuth2Client)()
  client.setCredentials({ access_token: token, expiry_date: Date.now() + 3_600_000 })
  return client
}

/**
 * @param {(method: Method, request: any, circumstances: { authorization: string, onAborted: (listener: () => void) => void, begin: () => Promise<void> }) => Promise<object>} answer
 */
function createGrpcServer(answer) {
  const definition = fromJSON(require('@google-cloud/kms/build/protos/protos.json'), {
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  })
  const { google } = /** @type {any} */ (loadPackageDefinition(definition))
  const { service } = google.cloud.kms.v1.KeyManagementService
  const server = new Server()
  /** @param {Method} method */
  const handler =
    (method) =>
    /**
     * @param {import('@grpc/grpc-js').ServerUnaryCall<any, any>} call
     * @param {import('@grpc/grpc-js').sendUnaryData<any>} callback
     */
    (call, callback) => {
      let isOver = false
      // gRPC says "cancelled" at the end of every call.
      /** @param {() => void} listener */
      const onAborted = (listener) => void call.on('cancelled', () => isOver || listener())
      const authorization = String(call.metadata.get('authorization')[0])
      const begin = () => {
        call.sendMetadata(new Metadata())
        return new Promise((resolve) => setImmediate(resolve))
      }
      answer(method, call.request, { authorization, onAborted, begin }).then(
        (message) => {
          isOver = true
          callback(null, message)
        },
        (error) => {
          isOver = true
          const { code, message } =
            error instanceof StatusError ? error : new StatusError(13, String(error?.stack))
          callback({ code, details: message })
        },
      )
    }
  server.addService(service, {
    getPublicKey: handler('GetPublicKey'),
    asymmetricSign: handler('AsymmetricSign'),
    listCryptoKeyVersions: handler('ListCryptoKeyVersions'),
  })
  return server
}
