import { peerError } from '@countersign/core/backend'
import { backend, refused } from '../error.ts'
import type { KeyScheme, ParsedKeyUri } from '../key-scheme.ts'
import { refuseCredentials } from '../syntax.ts'

interface AwsKmsKey {
  /** Key ID, alias (`alias/…`), or ARN of a key or an alias. */
  readonly keyId: string
  /** Absent where an ARN names it, or where the AWS SDK is to find it. */
  readonly region?: string
}

/** `awskms:`, a key of AWS KMS. */
export type AwsKmsKeyUri = ParsedKeyUri<AwsKmsKey, 'awskms'>

const arn = /^arn:[a-z\d-]+:kms:[a-z\d-]+:\d{12}:(?:key\/[\w-]+|alias\/[\w/-]+)$/
const idOrAlias = /^(?:[\w-]+|alias\/[\w/-]+)$/
const shownName = /^(?:alias\/.+|mrk-[\da-f]{32}|[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})$/
const regionName = /^[a-z\d-]{1,63}$/

/** `awskms:///KEY?region=…`, where KEY is an ID, an alias or an ARN. */
export const awsKms: KeyScheme<AwsKmsKey> = {
  name: 'awskms',

  parse({ path, attributes }) {
    refuseCredentials(path)
    const keyId = path.slice(3)
    const isArn = arn.test(keyId)
    if (!path.startsWith('///') || !(isArn || idOrAlias.test(keyId))) {
      throw refused(
        'This awskms: URI names no key of AWS KMS; write awskms:///alias/NAME, awskms:///KEY-ID, or awskms:/// and the ARN of a key or an alias, unescaped',
      )
    }
    const { region } = attributes(isArn ? [] : ['region'], {
      ...(isArn ? { region: 'the ARN names the region' } : {}),
      endpoint: 'set AWS_ENDPOINT_URL_KMS',
      profile: 'set AWS_PROFILE',
    })
    if (region !== undefined && !regionName.test(region)) {
      throw refused('The attribute "region" is not an AWS region; write one such as eu-west-1')
    }
    return region === undefined ? { keyId } : { keyId, region }
  },

  format({ keyId, region }) {
    return { path: `///${keyId}`, attributes: { region } }
  },

  suggest(name) {
    const service = 'AWS KMS'
    if (name.startsWith('arn:')) return { service, uri: `awskms:///${name}` }
    if (!shownName.test(name)) return undefined
    const uri = `awskms:///${name}?region=eu-west-1`
    return { service, uri, note: ", with the key's own region" }
  },

  /** Credentials and endpoint are those that the AWS SDK finds. */
  async open({ keyId, region, alg, kid }, { timeoutSeconds, signal }) {
    const { awsKmsSigner } = await loadAwsKms()
    return awsKmsSigner({ keyId, region, alg, kid, timeoutSeconds, signal })
  },
}

async function loadAwsKms() {
  try {
    return await import('@countersign/aws-kms')
  } catch (cause) {
    throw peerError('@countersign/aws-kms', cause, backend, ['@aws-sdk/client-kms'])
  }
}
