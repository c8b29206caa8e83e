import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  type AuthenticationOptions,
  addAuthenticationOptions,
  clientIdOption,
  issuerOption,
} from '../client-options.ts'
import { addJsonOption, defineCommand, runs } from '../frame.ts'
import { addKeyOptions, type KeyOptions, keyArgument } from '../key-option.ts'

/** Options of `countersign assertion`. */
export interface AssertionOptions extends KeyOptions, AuthenticationOptions {
  readonly clientId?: string
  readonly issuer?: string
  readonly lifetime: number
  readonly form?: boolean
  readonly json?: boolean
}

/** `countersign assertion KEY` */
export function assertionCommand(): Command {
  const command = defineCommand('assertion', {
    summary: 'make a client assertion, for curl and other programs',
    description:
      'Signs a client assertion (RFC 7523) and prints it. It proves who the client is until it expires: use it for one request, and do not keep it.',
    examples: [
      [
        'countersign assertion key.pem --client-id billing-agent --issuer https://as.example.com',
        'An assertion for this authorization server',
      ],
      [
        'countersign assertion key.pem --client-id billing-agent --issuer https://as.example.com --form | curl -d grant_type=client_credentials -d @- https://as.example.com/token',
        'A token request with curl; the assertion stays out of the list of processes',
      ],
    ],
  }).argument('[key]', keyArgument)
  addJsonOption(addKeyOptions(command)).addOption(clientIdOption()).addOption(issuerOption())
  return addAuthenticationOptions(command)
    .addOption(
      new Option('--lifetime <seconds>', 'how long it is good for, 300 at most')
        .default(60)
        .argParser(lifetime),
    )
    .addOption(
      new Option('--form', 'print it as parameters of a form, with their names').conflicts('json'),
    )
    .action(
      runs<[string | undefined], AssertionOptions>(async (frame, [key], options) => {
        const { printAssertion } = await import('../print-assertion.ts')
        return printAssertion(frame, key, options)
      }),
    )
}

function lifetime(value: string): number {
  const seconds = Number(value)
  if (Number.isInteger(seconds) && seconds > 0 && seconds <= 300) return seconds
  throw new InvalidArgumentError('It must be a whole number of seconds from 1 to 300.')
}
