import type { DpopSession } from '@countersign/oauth'
import { type Command, Option } from 'commander'
import type { Context } from './command.ts'
import { UsageError } from './errors.ts'
import { type KeyOptions, keyUriOf } from './key-options.ts'

/** The options of DPoP, as commander parses them. */
export interface DpopOptions {
  readonly dpop?: boolean
  readonly dpopKey?: string
}

/** Adds `--dpop` and `--dpop-key`. */
export function addDpopOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--dpop',
        'bind the token to a new key in memory, RFC 9449 (env: COUNTERSIGN_DPOP=1)',
        // Not by .env(), with which an empty variable or 0 would turn the option on.
      ).default(process.env['COUNTERSIGN_DPOP'] === '1' || undefined),
    )
    .addOption(
      new Option(
        '--dpop-key <key>',
        'bind the token to this key in place of one in memory: a key URI, or the path of a key file; each HTTP request costs one of its signatures',
      ).env('COUNTERSIGN_DPOP_KEY'),
    )
}

/** Whether tokens are to be bound to a key. */
export const wantsDpop = ({ dpop, dpopKey }: DpopOptions): boolean =>
  dpop === true || Boolean(dpopKey)

/** A DPoP session, and the function that closes its key. */
export interface OpenDpop extends AsyncDisposable {
  readonly session: DpopSession
}

/**
 * Opens the key of the proofs; see `openKey` for its PIN and passphrase.
 *
 * @returns `undefined` without `--dpop` and `--dpop-key`.
 */
export async function openDpop(
  context: Context,
  options: DpopOptions & KeyOptions,
): Promise<OpenDpop | undefined> {
  const { dpopKey } = options
  if (!wantsDpop(options)) return undefined
  const { dpopSession } = await import('@countersign/oauth')
  if (!dpopKey) return { session: dpopSession(), async [Symbol.asyncDispose]() {} }
  const { openKeyUri } = await import('./open-key.ts')
  const opened = await openKeyUri(context, keyUriOf(dpopKey, {}), options)
  return {
    session: dpopSession(opened.signer),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  }
}

/** Refuses DPoP with `--agent`, whose configuration decides how tokens are bound. */
export function requireNoDpop(options: DpopOptions): void {
  if (!wantsDpop(options)) return
  throw new UsageError(
    'The configuration of the agent decides whether tokens are bound to a key; leave --dpop and --dpop-key out with --agent, and unset COUNTERSIGN_DPOP and COUNTERSIGN_DPOP_KEY',
  )
}
