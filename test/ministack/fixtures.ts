import { CreateKeyCommand, type KeySpec, KMSClient } from '@aws-sdk/client-kms'
import type { SignerError } from '@countersign/core'
import type { MiniStack } from '../servers/ministack.js'

export const input = Buffer.from('what is signed here')

/** The root user, who has all permissions. */
export const rootOf = (ministack: MiniStack): KMSClient => new KMSClient(ministack.client)

/** The ARN of a new key. */
export async function createKey(client: KMSClient, keySpec: KeySpec): Promise<string> {
  const command = new CreateKeyCommand({ KeySpec: keySpec, KeyUsage: 'SIGN_VERIFY' })
  const { KeyMetadata } = await client.send(command)
  return KeyMetadata?.Arn ?? ''
}

/** Returns what a promise rejects with; throws if it is fulfilled. */
export async function refusal(promise: Promise<unknown>): Promise<SignerError> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error as SignerError
  }
  throw new Error(`the promise was not rejected, but fulfilled with ${String(value)}`)
}
