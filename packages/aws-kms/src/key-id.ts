import { refusal } from './errors.ts'

/** What a key name tells before any request. */
export interface KeyId {
  /** From the ARN; `undefined` if the name is not an ARN. */
  readonly region: string | undefined
  /** Whether this name can refer to the key with this ARN. */
  fits(arn: string): boolean
}

const arnForm = /^(arn:[a-z\d-]+:kms:([a-z\d-]+):\d{12}:)(?:(key\/[\w-]+)|alias\/[\w/-]+)$/
const keyArnForm = /^arn:[a-z\d-]+:kms:[a-z\d-]+:\d{12}:key\/[\w-]+$/
const relativeForm = /^(?:([\w-]+)|alias\/[\w/-]+)$/

/** Reads a key ID, key ARN, alias name or alias ARN. */
export function readKeyId(keyId: string): KeyId {
  const [arn, prefix = '', region, key] = arnForm.exec(keyId) ?? []
  if (arn !== undefined) {
    return {
      region,
      fits: (other) =>
        keyArnForm.test(other) && (key === undefined ? other.startsWith(prefix) : other === arn),
    }
  }
  const [name, id] = relativeForm.exec(keyId) ?? []
  if (name === undefined) {
    throw refusal(
      'ERR_SIGNER_CONFIG',
      'The "keyId" is not a name of a KMS key; use a key ID, a key ARN, alias/NAME or an alias ARN',
    )
  }
  return {
    region: undefined,
    fits: (other) => keyArnForm.test(other) && (id === undefined || other.endsWith(`:key/${id}`)),
  }
}

/** The region for requests: that of the ARN, else the caller's; `undefined` leaves it to the SDK. */
export function chooseRegion(
  { region: ofArn }: KeyId,
  asked: string | undefined,
): string | undefined {
  if (asked !== undefined && typeof asked !== 'string')
    throw new TypeError('"region" must be a string')
  if (asked !== undefined && !/^[a-z\d-]{1,63}$/.test(asked)) {
    throw refusal(
      'ERR_SIGNER_CONFIG',
      'The "region" is not a name of an AWS region; use a name such as eu-west-1',
    )
  }
  if (ofArn !== undefined && asked !== undefined && ofArn !== asked) {
    throw refusal(
      'ERR_SIGNER_CONFIG',
      `The "region" is ${asked}, but the ARN in "keyId" is in ${ofArn}; leave "region" out, or name a key in that region`,
    )
  }
  return ofArn ?? asked
}
