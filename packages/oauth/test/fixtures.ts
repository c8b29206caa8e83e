import { generateKeyPairSync } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Signer } from '@countersign/core'
import { localSigner } from '@countersign/local'
import type { AuthorizationServer } from '@countersign/oauth'

/** Metadata that lists every method, with the changes of a test. */
export function metadata(changes: Record<string, unknown> = {}): AuthorizationServer {
  return {
    issuer: 'https://as.test',
    token_endpoint: 'https://as.test/token',
    token_endpoint_auth_methods_supported: [
      'private_key_jwt',
      'client_secret_basic',
      'client_secret_post',
    ],
    ...changes,
  } as AuthorizationServer
}

/** A signer with a fresh P-256 key. */
export function es256Signer(): Promise<Signer> {
  return localSigner({ key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey })
}

/** Counts the signatures that are made while an action runs. */
export async function signaturesOf(action: () => unknown): Promise<number> {
  let signatures = 0
  const listener = () => {
    signatures += 1
  }
  subscribe('countersign:sign', listener)
  try {
    await action()
  } finally {
    unsubscribe('countersign:sign', listener)
  }
  return signatures
}
