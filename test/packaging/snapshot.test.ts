import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, expect, it } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'countersign-snapshot-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Makes one assertion before the snapshot is taken, and prints the `jti` of 200 assertions after each start from it. */
const program = `
import { startupSnapshot } from 'node:v8'
import { clientAssertion } from '@countersign/core'

const signer = { alg: 'ES256', kid: 'k', publicJwk: {}, sign: async () => new Uint8Array(64) }
const jti = async () => {
  const jwt = await clientAssertion(signer, { clientId: 'c', audience: 'https://as.example.com' })
  return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString()).jti
}
jti()
startupSnapshot.setDeserializeMainFunction(async () => {
  const all = []
  while (all.length < 200) all.push(await jti())
  console.log(JSON.stringify(all))
})
`

it('processes that start from one snapshot make no two assertions with the same jti', async () => {
  const [bundle, blob] = [join(folder, 'program.cjs'), join(folder, 'snapshot.blob')]
  const resolveDir = fileURLToPath(new URL('.', import.meta.url))
  await build({
    stdin: { contents: program, resolveDir },
    outfile: bundle,
    bundle: true,
    platform: 'node',
  })
  const node = (...args: string[]) =>
    execFileSync(process.execPath, ['--snapshot-blob', blob, ...args], {
      encoding: 'utf8',
      timeout: 20_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  node('--build-snapshot', bundle)
  const all = [node(), node()].flatMap((line): string[] => JSON.parse(line))
  expect(all).toHaveLength(400)
  expect(new Set(all).size).toBe(400)
})
