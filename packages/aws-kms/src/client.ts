import type {
  GetPublicKeyCommandOutput,
  KMSClient,
  SignCommandInput,
  SignCommandOutput,
} from '@aws-sdk/client-kms'
import { peerError, type RetriedCall, type RetriedCalls } from '@countersign/core/backend'
import { backend, notKms, scrub } from './errors.ts'

/**
 * The part of a `KMSClient` that is used. Clients of any 3.x release of the AWS SDK fit. The commands come from the
 * release that is installed beside this package, so the client must come from the same release.
 */
export interface KmsClient {
  send(command: never, options?: { readonly abortSignal?: AbortSignal }): Promise<object>
}

/** The two requests of a signer. */
export interface Kms {
  getPublicKey(keyId: string, signal: AbortSignal): Promise<GetPublicKeyCommandOutput>
  sign(input: SignCommandInput, signal: AbortSignal): Promise<SignCommandOutput>
  /** Closes a client that was made here; a client of the caller stays open. */
  close(): void
}

/** Loads the SDK, and returns a function that opens a client. */
export async function loadSdk(
  calls: RetriedCalls,
): Promise<
  (options: { readonly client: KmsClient | undefined; readonly region: string | undefined }) => Kms
> {
  const { KMSClient, GetPublicKeyCommand, SignCommand } = await importSdk()
  return ({ client: given, region }) => {
    const own =
      given === undefined ? new KMSClient(region === undefined ? {} : { region }) : undefined
    const client = (given ?? own) as Pick<KMSClient, 'send'>
    return {
      getPublicKey: (KeyId, signal) =>
        answerOf(
          calls.run(signal, (call) => {
            const command = reporting(new GetPublicKeyCommand({ KeyId }), call)
            return client.send(command, { abortSignal: call.signal })
          }),
        ),
      sign: (input, signal) =>
        answerOf(
          calls.run(signal, (call) =>
            client.send(reporting(new SignCommand(input), call), { abortSignal: call.signal }),
          ),
        ),
      close: () => own?.destroy(),
    }
  }
}

async function importSdk() {
  try {
    return await import('@aws-sdk/client-kms')
  } catch (cause) {
    throw peerError('@aws-sdk/client-kms', cause, backend)
  }
}

/** The part of an SDK command that takes middleware. */
interface Command {
  readonly middlewareStack: {
    add(
      middleware: (next: Next) => Next,
      options: { readonly step: 'deserialize'; readonly priority: 'high'; readonly name: string },
    ): void
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the SDK declares parameters and result
type Next = (parameters: any) => Promise<any>

/** Makes a command report each failed attempt. The SDK's retries run outside the step that this is added to. */
function reporting<C extends Command>(command: C, call: RetriedCall): C {
  const report =
    (next: Next): Next =>
    async (parameters) => {
      try {
        return await next(parameters)
      } catch (error) {
        call.failed(error)
        throw error
      }
    }
  command.middlewareStack.add(report, {
    step: 'deserialize',
    priority: 'high',
    name: 'countersignAttempts',
  })
  return command
}

/** Refuses a response without a body, which the SDK reads as one without members, and removes secrets from errors. */
async function answerOf<T extends { readonly $metadata: { readonly httpStatusCode?: number } }>(
  sent: Promise<T>,
): Promise<T> {
  try {
    const answer = await sent
    if (answer.$metadata.httpStatusCode === 204) throw notKms(204)
    return answer
  } catch (error) {
    scrub(error)
    throw error
  }
}
