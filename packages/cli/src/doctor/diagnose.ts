import { Deadline } from '@countersign/core/backend'
import { redact, withoutControls } from '../output.ts'
import { examineServer, examineToken } from './authorization-server.ts'
import { describeProofKey, examineDpop, openProofKey } from './dpop.ts'
import { examineKey } from './key.ts'
import { observeFetch } from './requests.ts'
import { examineResource } from './resource.ts'
import {
  type DiagnoseOptions,
  type Examination,
  expectations,
  FailedStep,
  notReached,
  type StepName,
  type StepResult,
  type Target,
} from './step.ts'
import { examineAudience, examineMcp } from './token-use.ts'

/**
 * Checks each step from a key to the tools of an MCP server, and reports what was expected and what was found.
 *
 * The checks are the library's own. After the first failure, the other steps are reported as not reached. It sends one
 * token request, and at most six more when the client or the request is refused.
 *
 * @param options - how to open the key, the client, and an MCP server, an issuer or both.
 * @returns each step as soon as it is known.
 * @throws `TypeError` when there is neither an MCP server nor an issuer; the signal's reason when it aborts; what
 *   `openKey` throws that is not a `SignerError`.
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
    for await (const result of runSteps(context)) {
      left.delete(result.name)
      yield clean(result)
    }
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error instanceof FailedStep)) throw error
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

/** Removes line breaks, secrets that a server repeats, and control characters from the texts of a result. */
function clean(result: StepResult): StepResult {
  const { found = '', remedy } = result
  const line = (text: string) => withoutControls(redact(text).replaceAll(/\s+/g, ' '))
  const cleaned = { ...result, found: line(found) }
  return remedy === undefined ? cleaned : { ...cleaned, remedy: line(remedy) }
}

/** The steps that apply to the given options, in order. */
function stepsOf({
  mcp,
  resource,
  openDpop,
}: Pick<DiagnoseOptions, 'mcp' | 'resource' | 'openDpop'>): readonly StepName[] {
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
    if (name === 'proof key') return openDpop !== undefined
    if (name === 'token audience') return mcp !== undefined || resource !== undefined
    return mcp !== undefined || !ofMcp.includes(name)
  })
}

async function* runSteps(context: Examination): AsyncGenerator<StepResult, void> {
  const { mcp, issuer = '', resource, scope } = context
  await using opened = yield* examineKey(context)
  const { signer } = opened
  await using proofs = await openProofKey(context)
  const session = proofs?.session
  if (session !== undefined) yield await describeProofKey(session)
  const observed = observeFetch(context.fetch, context.now, session)
  const target: Target =
    mcp === undefined ? { issuer, resource, scope } : yield* examineResource(context, observed, mcp)
  const as = yield* examineServer(context, observed, target, signer.alg)
  yield await examineDpop(session, as, target)
  const inputs = { context, observed, signer, session, as, target }
  const granted = yield* examineToken(inputs)
  if (target.resource === undefined) return
  if (mcp === undefined) yield await examineAudience(inputs, granted, target.resource)
  else yield* examineMcp(inputs, granted, target.resource, mcp)
}
