import type { KMS, KMSClient } from '@aws-sdk/client-kms'
import type { AwsKmsSignerOptions, KmsClient } from '@countersign/aws-kms'
import { expectTypeOf, test } from 'vitest'

// The compiler proves these; `npm run check` runs it over the tests.

/** How `send` is declared by the first release of the SDK's third major, with the types of that time. */
interface FirstClient {
  send<Input extends { KeyId: string | undefined }, Output extends { $metadata: object }>(
    command: { readonly input: Input; resolveMiddleware(stack: object): () => Promise<Output> },
    options?: { abortSignal?: { readonly aborted: boolean; onabort: unknown } },
  ): Promise<Output>
  send<Input extends { KeyId: string | undefined }, Output extends { $metadata: object }>(
    command: { readonly input: Input; resolveMiddleware(stack: object): () => Promise<Output> },
    callback: (error: unknown, data?: Output) => void,
  ): void
}

test('a client of the installed SDK, of either kind, fits', () => {
  expectTypeOf<KMSClient>().toExtend<KmsClient>()
  expectTypeOf<KMS>().toExtend<KmsClient>()
})

test('a client of the first 3.x fits', () => {
  expectTypeOf<FirstClient>().toExtend<KmsClient>()
})

test('so does whatever sends commands, and nothing else', () => {
  expectTypeOf<{
    send(command: object, options?: { readonly abortSignal?: AbortSignal }): Promise<object>
  }>().toExtend<KmsClient>()
  expectTypeOf<{ sign(): Promise<object> }>().not.toExtend<KmsClient>()
  expectTypeOf<{ send(): string }>().not.toExtend<KmsClient>()
})

test('options may be undefined, but for the name of the key', () => {
  expectTypeOf<{
    keyId: string
    alg: undefined
    client: undefined
    region: undefined
  }>().toExtend<AwsKmsSignerOptions>()
  expectTypeOf<{ region: string }>().not.toExtend<AwsKmsSignerOptions>()
})
