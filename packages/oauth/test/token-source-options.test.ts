import { clientSecretBasic, type TokenSourceOptions, tokenSource } from '@countersign/oauth'
import { expect, it } from 'vitest'

const good = {
  issuer: 'https://as.test',
  clientId: 'agent',
  authentication: clientSecretBasic('secret'),
}

const wrong: [string, unknown][] = [
  ['issuer', undefined],
  ['issuer', ''],
  ['issuer', new URL('https://as.test')],
  ['clientId', undefined],
  ['clientId', ''],
  ['authentication', undefined],
  ['authentication', 'private_key_jwt'],
  ['timeoutSeconds', 0],
  ['timeoutSeconds', '30'],
  ['metadataLifetimeSeconds', 0],
  ['retries', -1],
  ['retries', 1.5],
  ['retries', 11],
  ['retries', '2'],
  ['maxScope', ['read']],
]

it.each(wrong)('a token source refuses the option %s with the value %j', (option, value) => {
  const make = () => tokenSource({ ...good, [option]: value } as TokenSourceOptions)
  expect(make).toThrow(TypeError)
  expect(make).toThrow(`"${option}" must be`)
})

it('a token source is frozen, and its methods need no receiver', async () => {
  const tokenResponse = { access_token: 'given', token_type: 'bearer' }
  const source = tokenSource({ ...good, tokenResponse })
  expect(Object.isFrozen(source)).toBe(true)
  const { token, tokenResponse: response, invalidate } = source
  expect(await token()).toBe('given')
  expect(await response()).toEqual(tokenResponse)
  expect(invalidate('another')).toBeUndefined()
})
