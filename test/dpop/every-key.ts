import type { Signer } from '@countersign/core'
import { dpopSession } from '@countersign/oauth'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, test } from 'vitest'
import { closing } from '../mcp/closing.ts'
import { startDpopServers } from './servers.ts'
import { signInWithProofs } from './sign-in.ts'

/** A signer, and what releases it and its service. */
export interface LoadedKey {
  readonly signer: Signer
  close(): Promise<void>
}

const both = [true, false] as const

/** Each way to make the proofs, with nonces and without. */
const combinations = both.flatMap((nonces) =>
  both.map((ephemeral) => ({
    nonces,
    ephemeral,
    how: `proofs by ${ephemeral ? 'a key in memory' : 'the same key'}, ${nonces ? 'with nonces' : 'without nonces'}`,
  })),
)

/**
 * Declares that oidc-provider grants bound tokens to a client that authenticates with this key, and that resources accept
 * them: for client credentials and for an authorization code.
 */
export function grantsBoundTokens(name: string, load: () => Promise<LoadedKey>): void {
  describe(`private_key_jwt by ${name}`, () => {
    test.each(combinations)('for client credentials: $how', async ({ nonces, ephemeral }) => {
      const { signer } = closing(await load())
      const servers = await startDpopServers(nonces ? 'nonce' : 'supported', { signer })
      const { as, resource, url } = servers
      if (nonces) resource.requireNonce('first')
      const source = servers.source({ dpop: ephemeral ? true : signer })
      expect((await source.fetch(url)).status).toBe(200)
      expect((await source.fetch(url)).status).toBe(200)
      const { jwk = {} } = decodeProtectedHeader(resource.proofs[0] ?? '')
      const jkt = ephemeral ? await calculateJwkThumbprint(jwk) : signer.kid
      expect(decodeJwt(await source.token())['cnf']).toEqual({ jkt })
      expect(as.tokenRequests.map(({ status }) => status)).toEqual(nonces ? [400, 200] : [200])
      expect(resource.proofs.map((proof) => decodeJwt(proof)['nonce'])).toEqual(
        nonces ? ['first', 'first'] : [undefined, undefined],
      )
    })

    test.each(combinations)('for an authorization code: $how', async ({ nonces, ephemeral }) => {
      const { signer } = closing(await load())
      const session = dpopSession(ephemeral ? undefined : signer)
      const { tools, as, token } = await signInWithProofs({
        ...{ major: 'v2', signer, session, nonces },
      })
      expect(await tools.call('whoami')).toBe('app')
      expect(decodeJwt(token())['cnf']).toEqual({ jkt: await session.jkt() })
      expect(as.tokenRequests.map(({ status }) => status)).toEqual(nonces ? [400, 200] : [200])
    })
  })
}
