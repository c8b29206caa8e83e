import type { KeyUri } from '@countersign/uri'

export interface Form {
  readonly uri: string
  /** How it is written again, if that differs. */
  readonly canonical?: string
  readonly parsed: KeyUri
}

const uuid = '1234abcd-12ab-34cd-56ef-1234567890ab'
const arn = 'arn:aws:kms:eu-west-1:111122223333'
const version =
  'projects/my-project/locations/europe-west1/keyRings/Agents_1/cryptoKeys/Billing-Agent/cryptoKeyVersions/12'
const vault = 'my-vault.vault.azure.net/keys/Billing-Agent'
const module = '/usr/lib/softhsm/libsofthsm2.so'
const query = `?module-path=${module}`
const onToken = { scheme: 'pkcs11', module, token: { label: 't' }, key: { label: 'k' } } as const

/** Every form of key URI, with parts that are easily mangled. */
export const forms: readonly Form[] = [
  {
    uri: 'file:///etc/agent/key.pem',
    parsed: { scheme: 'file', path: '/etc/agent/key.pem' },
  },
  {
    uri: 'file:///etc/agent/key.pem?alg=PS256&kid=agent-1',
    parsed: { scheme: 'file', path: '/etc/agent/key.pem', alg: 'PS256', kid: 'agent-1' },
  },
  {
    uri: 'file:/etc/agent/key.pem?kid=agent-1&alg=PS256',
    canonical: 'file:///etc/agent/key.pem?alg=PS256&kid=agent-1',
    parsed: { scheme: 'file', path: '/etc/agent/key.pem', alg: 'PS256', kid: 'agent-1' },
  },
  {
    uri: 'file://localhost/etc/Key.PEM',
    canonical: 'file:///etc/Key.PEM',
    parsed: { scheme: 'file', path: '/etc/Key.PEM' },
  },
  {
    uri: 'file:///a%20b/%C3%A9/100%25/%3F%23;,=+&@:!%5C',
    canonical: 'file:///a%20b/%C3%A9/100%25/%3F%23%3B%2C%3D%2B%26%40:!%5C',
    parsed: { scheme: 'file', path: '/a b/é/100%/?#;,=+&@:!\\' },
  },
  {
    uri: 'file:///key.pem?kid=a+b%26c%3Dd=e/f:%20%E2%82%AC',
    canonical: 'file:///key.pem?kid=a%2Bb%26c%3Dd%3De/f:%20%E2%82%AC',
    parsed: { scheme: 'file', path: '/key.pem', kid: 'a+b&c=d=e/f: €' },
  },
  {
    uri: 'awskms:///alias/agent',
    parsed: { scheme: 'awskms', keyId: 'alias/agent' },
  },
  {
    uri: 'awskms:///alias/Team/Agent_1?region=eu-west-1&alg=ES256&kid=k',
    parsed: {
      scheme: 'awskms',
      keyId: 'alias/Team/Agent_1',
      region: 'eu-west-1',
      alg: 'ES256',
      kid: 'k',
    },
  },
  {
    uri: `awskms:///${uuid}?region=us-gov-east-1`,
    parsed: { scheme: 'awskms', keyId: uuid, region: 'us-gov-east-1' },
  },
  {
    uri: `awskms:///${arn}:key/${uuid}`,
    parsed: { scheme: 'awskms', keyId: `${arn}:key/${uuid}` },
  },
  {
    uri: `awskms:///${arn}:key/mrk-${'0a'.repeat(16)}?alg=ML-DSA-65`,
    parsed: { scheme: 'awskms', keyId: `${arn}:key/mrk-${'0a'.repeat(16)}`, alg: 'ML-DSA-65' },
  },
  {
    uri: `awskms:///${arn.replace('aws', 'aws-us-gov')}:alias/Team/Agent`,
    parsed: { scheme: 'awskms', keyId: `${arn.replace('aws', 'aws-us-gov')}:alias/Team/Agent` },
  },
  {
    uri: `gcpkms://${version}`,
    parsed: { scheme: 'gcpkms', name: version },
  },
  {
    uri: `gcpkms://${version.replace('my-project', 'example.com:my-project')}?alg=ES256&kid=k`,
    parsed: {
      scheme: 'gcpkms',
      name: version.replace('my-project', 'example.com:my-project'),
      alg: 'ES256',
      kid: 'k',
    },
  },
  {
    uri: `gcpkms://${version}?endpoint=https://cloudkms.europe-west1.rep.googleapis.com`,
    parsed: {
      scheme: 'gcpkms',
      name: version,
      endpoint: 'https://cloudkms.europe-west1.rep.googleapis.com',
    },
  },
  {
    uri: `gcpkms://${version}?endpoint=http%3A%2F%2F127.0.0.1%3A8080`,
    canonical: `gcpkms://${version}?endpoint=http://127.0.0.1:8080`,
    parsed: { scheme: 'gcpkms', name: version, endpoint: 'http://127.0.0.1:8080' },
  },
  {
    uri: `gcpkms://${version}?endpoint=http://[::1]:8080`,
    canonical: `gcpkms://${version}?endpoint=http://%5B::1%5D:8080`,
    parsed: { scheme: 'gcpkms', name: version, endpoint: 'http://[::1]:8080' },
  },
  {
    uri: `azurekms://${vault}`,
    parsed: { scheme: 'azurekms', keyId: `https://${vault}` },
  },
  {
    uri: `azurekms://${vault}/${'0a'.repeat(16)}?alg=PS256&kid=k`,
    parsed: {
      scheme: 'azurekms',
      keyId: `https://${vault}/${'0a'.repeat(16)}`,
      alg: 'PS256',
      kid: 'k',
    },
  },
  {
    uri: 'azurekms://my-hsm.managedhsm.azure.net/keys/agent',
    parsed: { scheme: 'azurekms', keyId: 'https://my-hsm.managedhsm.azure.net/keys/agent' },
  },
  {
    uri: 'azurekms://[::1]:8443/keys/agent',
    parsed: { scheme: 'azurekms', keyId: 'https://[::1]:8443/keys/agent' },
  },
  {
    uri: `pkcs11:token=t;object=k${query}`,
    parsed: onToken,
  },
  {
    uri: `pkcs11:object=k;type=private;token=t?alg=RS256&pin-source=file:/run/secrets/pin&kid=x&module-path=${module}`,
    canonical: `pkcs11:token=t;object=k${query}&pin-source=file:///run/secrets/pin&alg=RS256&kid=x`,
    parsed: {
      ...onToken,
      pin: { from: 'file', path: '/run/secrets/pin' },
      alg: 'RS256',
      kid: 'x',
    },
  },
  {
    uri: `pkcs11:token=t;object=k${query}&pin-source=file:///a%2520b`,
    parsed: { ...onToken, pin: { from: 'file', path: '/a b' } },
  },
  {
    uri: `pkcs11:token=t;object=k${query}&pin-source=env:AGENT_PIN`,
    parsed: { ...onToken, pin: { from: 'env', name: 'AGENT_PIN' } },
  },
  {
    uri: `pkcs11:manufacturer=SoftHSM%20project;id=%01%ff0%2F;serial=ab61;model=SoftHSM%20v2;slot-id=7;token=The%20T&%3B${query}`,
    canonical: `pkcs11:token=The%20T%26%3B;manufacturer=SoftHSM%20project;serial=ab61;model=SoftHSM%20v2;slot-id=7;id=%01%FF%30%2F${query}`,
    parsed: {
      scheme: 'pkcs11',
      module,
      token: {
        label: 'The T&;',
        manufacturer: 'SoftHSM project',
        serial: 'ab61',
        model: 'SoftHSM v2',
        slot: 7,
      },
      key: { id: '01ff302f' },
    },
  },
]
