import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const core = new URL('../dist/index.js', import.meta.url)

/** Runs a program against the built package and returns its lines, with a line for each asn1js that is resolved. */
async function run(program: string): Promise<string[]> {
  const hooks = `import { writeSync } from 'node:fs'
    export function resolve(specifier, context, next) {
      if (specifier === 'asn1js') writeSync(1, 'asn1js is loaded\\n')
      return next(specifier, context)
    }`
  const register = `import * as module from 'node:module'
    import * as hooks from ${JSON.stringify(dataUrl(hooks))}
    if (module.registerHooks) module.registerHooks(hooks)
    else module.register(${JSON.stringify(dataUrl(hooks))})`
  const prologue = `import { generateKeyPairSync, sign } from 'node:crypto'
    import { writeSync } from 'node:fs'
    import { clientAssertion, createSigner } from ${JSON.stringify(core.href)}
    const say = (line) => writeSync(1, line + '\\n')
    const { publicKey, privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const backend = (signatureFormat, dsaEncoding) => ({
      name: 'x', alg: 'ES256', publicKey, signatureFormat,
      sign: async ({ message, hash }) => sign(hash, message, { key, dsaEncoding }),
    })
    const assertion = (backend) =>
      clientAssertion(createSigner(backend), { clientId: 'c', audience: 'a' })
    say('core is loaded')\n`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', dataUrl(register), '--input-type=module', '--eval', prologue + program],
    { cwd: fileURLToPath(new URL('.', import.meta.url)) },
  )
  return stdout.trim().split('\n')
}

function dataUrl(source: string): string {
  return `data:text/javascript;base64,${Buffer.from(source).toString('base64')}`
}

it('an assertion of a backend with raw signatures is made without loading asn1js', async () => {
  const program = `await assertion(backend('raw', 'ieee-p1363')); say('assertion is made')`
  expect(await run(program)).toEqual(['core is loaded', 'assertion is made'])
})

it('a backend with DER signatures loads asn1js, and nothing before it does', async () => {
  const program = `await assertion(backend('der', 'der')); say('assertion is made')`
  expect(await run(program)).toEqual(['core is loaded', 'asn1js is loaded', 'assertion is made'])
})

it('the subpath for DER loads asn1js, so that this test would notice', async () => {
  const der = new URL('./der.js', core)
  const program = `await import(${JSON.stringify(der.href)}); say('der is loaded')`
  expect(await run(program)).toEqual(['core is loaded', 'asn1js is loaded', 'der is loaded'])
})
