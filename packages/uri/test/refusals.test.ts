import {
  type KeyScheme,
  parseKeyUri,
  type SignerFromUriOptions,
  signerFromUri,
} from '@countersign/uri'
import { describe, expect, it } from 'vitest'
import { everythingShown, refusal, thrown } from '../../core/test/outcome.ts'
import { refused } from './refused.ts'

const token = 'pkcs11:token=t;object=k'

describe('a key URI is refused with what is wrong and what to write', () => {
  it.each(refused)('%j', async (uri, says) => {
    const error = await refusal(() => parseKeyUri(uri))
    expect(error).toMatchObject({ code: 'ERR_SIGNER_CONFIG', backend: 'uri', retryable: false })
    expect(error.message).toMatch(says)
    expect(error.cause).toBeUndefined()
  })

  it.each(refused)('by signerFromUri as well: %j', async (uri, says) => {
    expect((await refusal(() => signerFromUri(uri))).message).toMatch(says)
  })
})

describe('the error for the name of a key in its service contains the URI to write', () => {
  const id = '1234abcd-12ab-34cd-56ef-1234567890ab'
  const arn = 'arn:aws:kms:eu-west-1:111122223333'
  const region = "?region=eu-west-1, with the key's own region"
  const key = 'projects/p/locations/l/keyRings/r/cryptoKeys/k'
  it.each([
    [`${arn}:key/${id}`, `awskms:///${arn}:key/${id}`],
    [`${arn}:alias/agent`, `awskms:///${arn}:alias/agent`],
    ['alias/agent', `awskms:///alias/agent${region}`],
    [id, `awskms:///${id}${region}`],
    [`mrk-${id.replaceAll('-', '')}`, `awskms:///mrk-${id.replaceAll('-', '')}${region}`],
    [key, `gcpkms://${key}`],
    [`${key}/cryptoKeyVersions/1`, `gcpkms://${key}/cryptoKeyVersions/1`],
    [`//cloudkms.googleapis.com/${key}`, `gcpkms://${key}`],
    [`https://cloudkms.googleapis.com/v1/${key}`, `gcpkms://${key}`],
    ['https://v.vault.azure.net/keys/k', 'azurekms://v.vault.azure.net/keys/k'],
    ['https://h.managedhsm.azure.net/keys/k/1f', 'azurekms://h.managedhsm.azure.net/keys/k/1f'],
  ])('%s', async (name, write) => {
    const error = await refusal(() => signerFromUri(name))
    expect(error.code).toBe('ERR_SIGNER_CONFIG')
    expect(error.message).toMatch(/^This is the name of a key in .+, not a key URI; write /)
    expect(error.message.split('; write ')[1]).toBe(write)
    expect(parseKeyUri(write.replace(/, with .*$/, ''))).toBeDefined()
  })
})

describe('a suggestion of a scheme is shown only if it is a URI of that scheme', () => {
  const suggesting = (uri: string): KeyScheme => ({
    name: 'acme',
    parse({ path, attributes }) {
      if (path !== '///agent') throw new Error('no such key')
      return attributes()
    },
    format: () => ({ path: '///agent' }),
    open: () => Promise.reject(new Error('not opened')),
    suggest: () => ({ service: 'Acme', uri }),
  })
  const message = async (uri: string) =>
    (await refusal(() => parseKeyUri('1234', { schemes: [suggesting(uri)] }))).message

  it('which names the service and the URI', async () => {
    expect(await message('acme:///agent')).toBe(
      'This is the name of a key in Acme, not a key URI; write acme:///agent',
    )
  })

  it.each(['acme:///1234', 'other:///agent', 'acme:///agent?pin=1234', '///agent'])(
    'and not when it is %s',
    async (uri) => {
      expect(await message(uri)).toMatch(/^This is not a key URI; one starts with .*, acme:, /)
    },
  )
})

describe('an unknown attribute is named only when its name looks like one', () => {
  it.each(['x', 'region', 'x-y_1', 'X509', 'a'.repeat(32)])('%s is named', async (name) => {
    const error = await refusal(() => parseKeyUri(`file:///k?${name}=1`))
    expect(error.message).toContain(`the unknown attribute "${name}"; it takes`)
  })

  it.each(['1234', '-x', '_x', 'a.b', 'a%41', 'a~', 'a:b', 'a'.repeat(33)])(
    '%s is not, since it may be a secret',
    async (name) => {
      const error = await refusal(() => parseKeyUri(`file:///k?${name}=1`))
      expect(error.message).toContain('has an unknown attribute; it takes')
      expect(error.message).not.toContain(name)
    },
  )
})

describe('an error does not contain a PIN', () => {
  const pin = 'pin5ecret'
  it.each([
    `${token}?pin-value=${pin}`,
    `${token};pin-value=${pin}?module-path=/m`,
    `${token};pin=${pin}?module-path=/m`,
    `${token}?module-path=/m&pin-value=${pin}&pin-value=${pin}`,
    `${token}?module-path=/m&pin-value=${pin}%`,
    `${token}?module-path=/m&pin-value=${pin}%zz`,
    `${token}?module-path=/m&pin-value=${pin}%00`,
    `${token}?module-path=/m&pin-value=${pin}#${pin}`,
    `${token}?module-path=/m&pin-value=${pin} ${pin}`,
    `${token}?module-path=/m&pin-value=x&${pin}`,
    `${token}?module-path=/m&pin-value=x&${pin}=x`,
    `${token}?module-path=/m&pin-source=x&${pin}=x`,
    `${token}?module-path=/m&pin-value=x;${pin}`,
    `${token}?module-path=/m&pin-value=x&alg=${pin}`,
    `${token}?module-path=/m&pin-value=${pin}&pin-source=env:PIN`,
    `${token}?module-path=/m&pin-source=${pin}`,
    `${token}?module-path=/m&pin-source=${pin}:${pin}`,
    `${token}?module-path=/m&pin-source=env:-${pin}`,
    `${token}?module-path=/m&pin-value:${pin}`,
    `${token}?module-path=${pin}`,
    `${token}?${pin}`,
    `pkcs11:${pin}`,
    `pkcs11://x:${pin}@token=t`,
    `awskms://AKIA:${pin}@host/alias/agent`,
    `awskms:///${pin}/x`,
    `azurekms://x:${pin}@v.vault.azure.net/keys/k`,
    `azurekms://${pin}.example/keys/k`,
    `gcpkms://x:${pin}@projects/p`,
    `gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1?endpoint=https://x:${pin}@x`,
    `file://x:${pin}@host/key.pem`,
    `${pin}:x`,
    pin,
  ])('%s', async (uri) => {
    expect(everythingShown(await refusal(() => parseKeyUri(uri)))).not.toContain(pin)
    expect(everythingShown(await refusal(() => signerFromUri(uri)))).not.toContain(pin)
  })
})

describe('misuse is a TypeError', () => {
  it.each([undefined, null, 7, {}, ['file:///k'], new URL('file:///k')])(
    '%o for a URI',
    async (uri) => {
      for (const action of [parseKeyUri, signerFromUri]) {
        const error = await thrown(() => action(uri as string))
        expect(error).toBeInstanceOf(TypeError)
        expect(String(error)).toContain('"uri" must be a string')
      }
    },
  )

  it.each([
    ['signal', {}],
    ['passphrase', 7],
    ['passphrase', Buffer.from('x')],
    ['pin', 1234],
    ['pin', null],
    ['azureCredential', 'token'],
    ['azureCredential', null],
    ['allowSharedFiles', 'yes'],
  ])('%s: %o', async (option, value) => {
    const options = { [option]: value } as SignerFromUriOptions
    const error = await thrown(() => signerFromUri('file:///nowhere', options))
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain(`"${option}" must`)
  })
})

describe('an option of its type is accepted, and the missing file is reported', () => {
  it.each([
    ['passphrase', 'secret'],
    ['passphrase', () => 'secret'],
    ['pin', '1234'],
    ['azureCredential', { getToken: async () => null }],
    ['allowSharedFiles', true],
  ])('%s: %o', async (option, value) => {
    const error = await refusal(() => signerFromUri('file:///nowhere', { [option]: value }))
    expect(error.code).toBe('ERR_SIGNER_KEY_NOT_FOUND')
  })
})
