import { commonOf, readAttributes, textOf, writeQuery } from './attributes.ts'
import type { AwsKmsKeyUri } from './key-uri.ts'
import { refused } from './refusal.ts'
import { refuseCredentials, type SplitUri } from './split-uri.ts'

const accepted =
  'awskms:///alias/NAME, awskms:///KEY-ID, or awskms:/// and the ARN of a key or an alias'
const arn = /^arn:[a-z\d-]+:kms:[a-z\d-]+:\d{12}:(?:key\/[\w-]+|alias\/[\w/-]+)$/
const idOrAlias = /^(?:[\w-]+|alias\/[\w/-]+)$/
const regionName = /^[a-z\d-]{1,63}$/

/** Reads `awskms:///KEY?region=…`, where the key is an ID, an alias or an ARN. */
export function parseAwsKms({ hierarchy, query }: SplitUri): AwsKmsKeyUri {
  refuseCredentials(hierarchy)
  const keyId = hierarchy.slice(3)
  const isArn = arn.test(keyId)
  if (!hierarchy.startsWith('///') || !(isArn || idOrAlias.test(keyId))) {
    throw refused(`This awskms: URI names no key of AWS KMS; write ${accepted}, unescaped`)
  }
  const attributes = readAttributes(query, {
    where: 'the query of an awskms: URI',
    separator: '&',
    accepted: isArn ? ['alg', 'kid'] : ['region', 'alg', 'kid'],
    instead: {
      ...(isArn ? { region: 'the ARN names the region' } : {}),
      endpoint: 'set AWS_ENDPOINT_URL_KMS',
      profile: 'set AWS_PROFILE',
    },
  })
  const region = textOf(attributes, 'region')
  if (region !== undefined && !regionName.test(region)) {
    throw refused('The attribute "region" is no AWS region; write one such as eu-west-1')
  }
  return {
    scheme: 'awskms',
    keyId,
    ...(region === undefined ? {} : { region }),
    ...commonOf(attributes),
  }
}

export function formatAwsKms({ keyId, region, alg, kid }: AwsKmsKeyUri): string {
  return `awskms:///${keyId}${writeQuery({ region, alg, kid })}`
}
