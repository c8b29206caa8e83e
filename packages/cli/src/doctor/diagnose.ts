import { Deadline } from '@countersign/core/backend'
import { redact, withoutControls } from '../redact.ts'
import { examineAudience } from './audience.ts'
import { examineKey } from './key.ts'
import { examineMcp } from './mcp.ts'
import { observeFetch } from './observed-fetch.ts'
import { examineResource, type Target } from './resource.ts'
import { examineServer } from './server.ts'
import {
  BrokenStep,
  type DiagnoseOptions,
  type Examination,
  expectations,
  notReached,
  type StepName,
  type StepResult,
} from './step.ts'
import { examineToken } from './token.ts'

/**
 * Goes along the line from a key to the tools of an MCP server, one step after the other, and says of each what was
 * expected and what was found.
 *
 * The steps are those of the library itself, in its own code. The first that fails ends the line; the rest is reported
 * as not reached. At the authorization server it asks for a token once, and at most six times more when the client or
 * the request is refused.
 *
 * @param options - how to open the key, the client, and an MCP server, an issuer or both.
 * @returns each step as soon as it is known.
 * @throws `TypeError` when there is neither an MCP server nor an issuer; the signal's reason when it aborts; what
 *   `openKey` throws other than a `SignerError`.
 */
export async function* diagnose(options: DiagnoseOptions): AsyncGenerator<StepResult, void> {
  if (options.mcp === undefined && options.issuer === undefined) {
    throw new TypeError('"mcp" or "issuer" must be given')
  }
  const { timeoutSeconds = 15, signal, fetch = globalThis.fetch, now = Date.now } = options
  const context = {
    ...options,
    timeoutSeconds,
    fetch,
    now,
    within: bounded(timeoutSeconds, signal),
  }
  const left = new Set(stepsOf(options))
  try {
    for await (const result of line(context)) {
      left.delete(result.name)
      yield clean(result)
    }
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error instanceof BrokenStep)) throw error
    left.delete(error.result.name)
    yield clean(error.result)
  }
  for (const name of left) yield notReached(name)
}

/** Bounds each piece of work by a number of seconds and by the caller's signal, even if the work ignores its own. */
function bounded(seconds: number, caller: AbortSignal | undefined): Examination['within'] {
  const tooLate = () => new DOMException(`no answer within ${seconds} s`, 'TimeoutError')
  return async (work) => {
    caller?.throwIfAborted()
    const deadline = new Deadline(seconds, caller, tooLate)
    return deadline.settle(work(deadline.signal))
  }
}

/** A step on one line each, without what servers repeat of what they were sent, and without what steers a terminal. */
function clean(result: StepResult): StepResult {
  const { found = '', remedy } = result
  const line = (text: string) => withoutControls(redact(text).replaceAll(/\s+/g, ' '))
  const cleaned = { ...result, found: line(found) }
  return remedy === undefined ? cleaned : { ...cleaned, remedy: line(remedy) }
}

/** The steps there are between a key and what was given, in order. */
function stepsOf({
  mcp,
  resource,
}: Pick<DiagnoseOptions, 'mcp' | 'resource'>): readonly StepName[] {
  const ofMcp: readonly StepName[] = [
    'mcp server',
    'resource metadata',
    'resource',
    'authorization server',
    'mcp initialize',
    'tools',
  ]
  const all = Object.keys(expectations) as StepName[]
  return all.filter((name) => {
    if (name === 'token audience') return mcp !== undefined || resource !== undefined
    return mcp !== undefined || !ofMcp.includes(name)
  })
}

async function* line(context: Examination): AsyncGenerator<StepResult, void> {
  const { mcp, issuer = '', resource, scope } = context
  await using opened = yield* examineKey(context)
  const { signer } = opened
  const observed = observeFetch(context.fetch, context.now)
  const target: Target =
    mcp === undefined ? { issuer, resource, scope } : yield* examineResource(context, observed, mcp)
  const as = yield* examineServer(context, observed, target, signer.alg)
  const scene = { context, observed, signer, as, target }
  const granted = yield* examineToken(scene)
  if (target.resource === undefined) return
  if (mcp === undefined) yield await examineAudience(scene, granted, target.resource)
  else yield* examineMcp(scene, granted, target.resource, mcp)
}
