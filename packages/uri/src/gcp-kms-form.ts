import { commonOf, readAttributes, textOf, writeQuery } from './attributes.ts'
import type { GcpKmsKeyUri } from './key-uri.ts'
import { refused } from './refusal.ts'
import { isThisMachine, refuseCredentials, type SplitUri } from './split-uri.ts'

const accepted =
  'gcpkms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY/cryptoKeyVersions/NUMBER'
const resource =
  /^projects\/[a-z\d][a-z\d.:-]*\/locations\/[a-z\d-]+\/keyRings\/[\w-]{1,63}\/cryptoKeys\/[\w-]{1,63}(?:\/cryptoKeyVersions\/[1-9]\d*)?$/

// An endpoint is sent the caller's credentials, so that none but Google's may be named; one on this machine gets none.
const google = /^https:\/\/[a-z\d-]+(?:\.[a-z\d-]+)*\.googleapis\.com$/

function isAdmitted(endpoint: string): boolean {
  return google.test(endpoint) || isThisMachine(/^http:\/\/(.+:\d+)$/.exec(endpoint)?.[1] ?? '')
}

/** Reads `gcpkms://projects/…/cryptoKeyVersions/N?endpoint=…`. */
export function parseGcpKms({ hierarchy, query }: SplitUri): GcpKmsKeyUri {
  refuseCredentials(hierarchy)
  const name = hierarchy.slice(2)
  if (!hierarchy.startsWith('//') || !resource.test(name)) {
    throw refused(
      `This gcpkms: URI names no key of Google Cloud KMS; write ${accepted}, unescaped, in this case`,
    )
  }
  const attributes = readAttributes(query, {
    where: 'the query of a gcpkms: URI',
    separator: '&',
    accepted: ['endpoint', 'alg', 'kid'],
  })
  const endpoint = textOf(attributes, 'endpoint')
  if (endpoint !== undefined && !isAdmitted(endpoint)) {
    throw refused(
      'The attribute "endpoint" is none that a key URI may name; write https://HOST.googleapis.com, or http://127.0.0.1:PORT for a server on this machine, without a path',
    )
  }
  return {
    scheme: 'gcpkms',
    name,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...commonOf(attributes),
  }
}

export function formatGcpKms({ name, endpoint, alg, kid }: GcpKmsKeyUri): string {
  return `gcpkms://${name}${writeQuery({ endpoint, alg, kid })}`
}
