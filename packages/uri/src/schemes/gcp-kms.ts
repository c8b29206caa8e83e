import { peerError } from '@countersign/core/backend'
import type { GcpKmsSignerOptions } from '@countersign/gcp-kms'
import { backend, refused } from '../error.ts'
import type { KeyScheme, ParsedKeyUri } from '../key-scheme.ts'
import { isThisMachine, refuseCredentials } from '../syntax.ts'

interface GcpKmsKey {
  /** Resource name, `projects/…/cryptoKeys/…`. */
  readonly name: string
  /** Origin of a server other than `cloudkms.googleapis.com`. */
  readonly endpoint?: string
}

/** `gcpkms:`, a key of Google Cloud KMS. */
export type GcpKmsKeyUri = ParsedKeyUri<GcpKmsKey, 'gcpkms'>

const resource =
  /^projects\/[a-z\d][a-z\d.:-]*\/locations\/[a-z\d-]+\/keyRings\/[\w-]{1,63}\/cryptoKeys\/[\w-]{1,63}(?:\/cryptoKeyVersions\/[1-9]\d*)?$/
const googleUrl = /^(?:(?:https:)?\/\/cloudkms\.googleapis\.com\/(?:v1\/)?)?(?=projects\/)/

// The endpoint gets the caller's credentials, so only Google's are accepted. One on this machine gets none.
const google = /^https:\/\/[a-z\d-]+(?:\.[a-z\d-]+)*\.googleapis\.com$/

/** `gcpkms://projects/…/cryptoKeyVersions/N?endpoint=…` */
export const gcpKms: KeyScheme<GcpKmsKey> = {
  name: 'gcpkms',

  parse({ path, attributes }) {
    refuseCredentials(path)
    const name = path.slice(2)
    if (!path.startsWith('//') || !resource.test(name)) {
      throw refused(
        'This gcpkms: URI names no key of Google Cloud KMS; write gcpkms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY/cryptoKeyVersions/NUMBER, unescaped, in this case',
      )
    }
    const { endpoint } = attributes(['endpoint'])
    if (endpoint !== undefined && !isAccepted(endpoint)) {
      throw refused(
        'The attribute "endpoint" is not one that a key URI may name; write https://HOST.googleapis.com, or http://127.0.0.1:PORT for a server on this machine, without a path',
      )
    }
    return endpoint === undefined ? { name } : { name, endpoint }
  },

  format({ name, endpoint }) {
    return { path: `//${name}`, attributes: { endpoint } }
  },

  suggest(name) {
    if (!googleUrl.test(name)) return undefined
    return { service: 'Google Cloud KMS', uri: name.replace(googleUrl, 'gcpkms://') }
  },

  /** Credentials are the application default ones. */
  async open({ name, endpoint, alg, kid }, { timeoutSeconds, signal }) {
    const { gcpKmsSigner } = await loadGcpKms()
    const clientOptions = endpoint === undefined ? undefined : clientOptionsFor(new URL(endpoint))
    return gcpKmsSigner({ name, alg, kid, clientOptions, timeoutSeconds, signal })
  },
}

function isAccepted(endpoint: string): boolean {
  const [, host] = /^http:\/\/(.+:\d+)$/.exec(endpoint) ?? []
  return google.test(endpoint) || (host !== undefined && isThisMachine(host))
}

async function loadGcpKms() {
  try {
    return await import('@countersign/gcp-kms')
  } catch (cause) {
    throw peerError('@countersign/gcp-kms', cause, backend, ['@google-cloud/kms'])
  }
}

/** Client options for an endpoint of Google, or for a server on this machine. */
export function clientOptionsFor({
  protocol,
  hostname,
  port,
}: URL): NonNullable<GcpKmsSignerOptions['clientOptions']> {
  if (protocol === 'https:') return { apiEndpoint: hostname }
  // The SDK connects without TLS only in its HTTP mode. No credentials are looked up or sent.
  const anonymous = {
    universeDomain: 'googleapis.com',
    getRequestHeaders: async () => new Headers(),
    fetch: (url: string, init: RequestInit) => fetch(url, init),
  }
  return {
    fallback: true,
    protocol: 'http',
    apiEndpoint: hostname,
    port: Number(port),
    projectId: 'none',
    authClient: anonymous as never,
  }
}
