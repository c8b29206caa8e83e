import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSigner } from '@countersign/core'
import { experimentalAttestedInstance, privateKeyJwt, tokenSource } from '@countersign/oauth'
import { describe, expect, test } from 'vitest'
import { tokenResponse, tooManyRequests } from '../../servers/token-responses.js'
import {
  attestationSeconds,
  type FleetOptions,
  fleetServices,
  runFleet,
  simulate,
} from './fleet.js'
import { allOptions, cells, lifetimes, plotOf, readTable } from './page.js'
import { tokenResponseOf } from './services.js'
import { withVirtualTime } from './virtual-time.js'

const fleet: FleetOptions = {
  replicas: 5,
  lifetimeSeconds: 300,
  store: false,
  attestation: false,
  hours: 0.5,
}

/** The same fleet with token sources, real signatures and HTTP responses, and with every call. */
function simulateTokenSources(options: FleetOptions) {
  return withVirtualTime({ seed: 1, turns: 5 }, async (time) => {
    const services = fleetServices(time, options)
    const { limits } = services
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const signer = createSigner({
      name: 'simulation',
      alg: 'ES256',
      publicKey: createPublicKey(privateKey),
      async sign({ message, hash }) {
        await services.sign()
        return sign(hash ?? null, message, { key: privateKey, dsaEncoding: 'ieee-p1363' })
      },
    })
    const fetch = async () => {
      await time.sleep(limits.tokenRequestMilliseconds)
      const token = services.grant()
      if (token === undefined) return tooManyRequests(String(limits.retryAfterSeconds))
      return tokenResponse(tokenResponseOf(time, token))
    }
    // An attestation is renewed in the last tenth of its lifetime.
    const lifetimeSeconds = Math.round(attestationSeconds / 0.9)
    const start = (now: () => number) => {
      const issuer = 'https://as.test'
      const authentication = options.attestation
        ? experimentalAttestedInstance(signer, { lifetimeSeconds, now })
        : privateKeyJwt(signer)
      const source = tokenSource({
        issuer,
        clientId: 'agent',
        authentication,
        metadata: {
          issuer,
          token_endpoint: `${issuer}/token`,
          token_endpoint_auth_methods_supported: [authentication.method],
          token_endpoint_auth_signing_alg_values_supported: ['ES256'],
          client_attestation_signing_alg_values_supported: ['ES256'],
          client_attestation_pop_signing_alg_values_supported: ['ES256'],
        },
        metadataLifetimeSeconds: 24 * 3600,
        fetch,
        now,
      })
      return { get: async () => void (await source.token()), isDue: () => true }
    }
    return runFleet(time, options, services, start, { everyCall: true })
  })
}

describe('the simulation counts the requests of token sources with real signatures', {
  timeout: 120_000,
}, () => {
  test.each<[string, Partial<FleetOptions>]>([
    ['when nothing is refused', {}],
    [
      'when the authorization server throttles',
      { replicas: 20, hours: 0.15, limits: { tokenRequestsPerSecond: 1, retryAfterSeconds: 3 } },
    ],
    ['with attestation', { attestation: true, replicas: 1, hours: 4.2 }],
    ['when the key service throttles', { hours: 0.2, limits: { signaturesPerSecond: 1 } }],
  ])('%s', async (_when, options) => {
    const simulated = await simulate({ ...fleet, ...options })
    expect(simulated.tokenRequests.total).toBeGreaterThan(fleet.replicas)
    const refused = simulated.tokenRequests.refused + simulated.signatures.refused
    expect(refused > 0).toBe(options.limits !== undefined)
    expect(await simulateTokenSources({ ...fleet, ...options })).toEqual(simulated)
  })
})

test('a seed gives the same numbers again, and another seed gives others', async () => {
  const options = { ...fleet, limits: { tokenRequestsPerSecond: 1 } }
  const first = await simulate(options)
  expect(await simulate(options)).toEqual(first)
  expect(await simulate({ ...options, seed: 2 })).not.toEqual(first)
})

test('with a store, the requests do not grow with the fleet, and no two are in the same second', async () => {
  const one = await simulate({ ...fleet, store: true, replicas: 1 })
  const many = await simulate({ ...fleet, store: true, replicas: 100 })
  // The earliest of many calls comes at another time than the only one.
  expect(Math.abs(many.tokenRequests.total - one.tokenRequests.total)).toBeLessThanOrEqual(1)
  expect(many.signatures).toEqual(many.tokenRequests)
  expect([many.tokenRequests.worstSecond, many.failedCalls]).toEqual([1, 0])
})

describe('docs/fleets.md', async () => {
  const page = await readFile(new URL('../../../docs/fleets.md', import.meta.url), 'utf8')

  test('has the numbers of the simulation for 1 and 10 replicas', async () => {
    for (const options of allOptions([1, 10])) {
      const row = cells({ options, result: await simulate(options) })
      expect(readTable(page, options.lifetimeSeconds)).toContainEqual(row)
    }
  })

  test('has a row for each fleet', () => {
    const rows = lifetimes.flatMap((seconds) => readTable(page, seconds))
    expect(rows).toHaveLength(allOptions().length)
  })

  test('shows the plot of its tables', async () => {
    const image = new URL('../../../docs/fleets.svg', import.meta.url)
    expect(await readFile(image, 'utf8')).toBe(plotOf(page))
  })
})
