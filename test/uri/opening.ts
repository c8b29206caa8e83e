import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const program = fileURLToPath(new URL('./open.mjs', import.meta.url))

/** The outcome of opening a URI: an assertion, or an error. */
export interface Outcome {
  readonly assertion?: string
  readonly code?: string
  readonly backend?: string
  readonly message?: string
}

/** Opens URIs in a child process that has only this environment. */
export async function open(
  env: Readonly<Record<string, string>>,
  ...uris: readonly string[]
): Promise<Outcome[]> {
  return (await run(env, [program, ...uris])).map((line) => JSON.parse(line))
}

/** Opens a URI in a child process, and returns the packages of backends and vendors that it loads, in order. */
export async function loaded(
  env: Readonly<Record<string, string>>,
  uri: string,
): Promise<{ packages: string[]; outcome: Outcome }> {
  const hooks = `import { writeSync } from 'node:fs'
    const watched = /^(@countersign\\/(?!core|uri)[^/]+|@aws-sdk\\/client-kms|@google-cloud\\/kms|@azure\\/[^/]+|pkcs11js)$/
    export function resolve(specifier, context, next) {
      if (watched.test(specifier)) writeSync(1, JSON.stringify(specifier) + '\\n')
      return next(specifier, context)
    }`
  const register = `import * as module from 'node:module'
    import * as hooks from ${JSON.stringify(dataUrl(hooks))}
    if (module.registerHooks) module.registerHooks(hooks)
    else module.register(${JSON.stringify(dataUrl(hooks))})`
  const lines = await run(env, ['--import', dataUrl(register), program, uri])
  const said: unknown[] = lines.map((line) => JSON.parse(line))
  const packages = said.filter((each): each is string => typeof each === 'string')
  const outcome = said.find((each): each is Outcome => typeof each === 'object')
  return { packages: [...new Set(packages)], outcome: outcome ?? {} }
}

function dataUrl(source: string): string {
  return `data:text/javascript;base64,${Buffer.from(source).toString('base64')}`
}

async function run(env: Readonly<Record<string, string>>, args: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 60_000 })
  return stdout.trim().split('\n')
}
