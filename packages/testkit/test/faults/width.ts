import { type Fault, signing } from './faulty-signer.ts'

function withoutLeadingZeros(octets: Uint8Array): Uint8Array {
  const start = octets.findIndex((octet) => octet !== 0)
  return octets.slice(start)
}

export const widthFaults: Fault[] = [
  {
    check: 'signature-width',
    that: 'drops leading zero octets of r and s',
    factory: signing('ES256', () => async (good, input) => {
      const raw = await good(input)
      return Buffer.concat([raw.subarray(0, 32), raw.subarray(32)].map(withoutLeadingZeros))
    }),
  },
  {
    check: 'signature-width',
    that: 'drops leading zero octets of an RSA signature',
    factory: signing('RS256', () => async (good, input) => withoutLeadingZeros(await good(input))),
  },
  {
    check: 'signature-width',
    that: 'pads a short r on the wrong side',
    factory: signing('ES256', () => {
      let made = 0
      return async (good, input) => {
        const raw = await good(input)
        // One short r, at a fixed place: left to chance, it may come in the very first signature.
        if (++made !== 100) return raw
        return Buffer.concat([raw.subarray(1, 32), Buffer.alloc(1), raw.subarray(32)])
      }
    }),
  },
  {
    check: 'signature-width',
    that: 'ends each signature with a line feed',
    factory: signing(
      'EdDSA',
      () => async (good, input) => Buffer.concat([await good(input), Buffer.from('\n')]),
    ),
  },
]
