import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AwsKms, startAwsKms } from '../servers/aws-kms.js'

// Below test/, so that the packages that test/package.json names are found from there.
const cache = fileURLToPath(new URL('../.cache/', import.meta.url))
mkdirSync(cache, { recursive: true })
const folder = mkdtempSync(join(cache, 'aws-kms-'))

let kms: AwsKms

beforeAll(async () => {
  kms = await startAwsKms()
})

afterAll(async () => {
  rmSync(folder, { recursive: true })
  await kms.close()
})

/** The output of a program whose environment has the test server as AWS. */
async function printedBy(program: string): Promise<string> {
  const file = join(folder, 'program.mjs')
  writeFileSync(file, program)
  const env = { PATH: process.env['PATH'], ...kms.env }
  const { stdout } = await promisify(execFile)(process.execPath, [file], { env, timeout: 20_000 })
  return stdout.trim()
}

const signer = (keyId: string) => `
  import { awsKmsSigner } from '@countersign/aws-kms'
  const signer = await awsKmsSigner({ keyId: ${JSON.stringify(keyId)} })
  console.log(signer.alg, (await signer.sign(Buffer.from('input'))).byteLength)
`

test('a process that reaches KMS by its environment signs, and exits without help', async () => {
  const { arn } = kms.createKey('P-256')
  const started = performance.now()
  expect(await printedBy(signer(arn))).toBe('ES256 64')
  expect(performance.now() - started).toBeLessThan(10_000)
})

const loaded = `
  import { Session } from 'node:inspector/promises'
  const session = new Session()
  session.connect()
  const urls = []
  session.on('Debugger.scriptParsed', ({ params }) => urls.push(params.url))
  await session.post('Debugger.enable')
  const sdks = () => [
    ...new Set(urls.map((url) => /node_modules\\/(@aws-sdk|@google-cloud|@azure|pkcs11js|asn1js)\\//.exec(url)?.[1])),
  ].filter(Boolean).sort()
`

test('the SDK is loaded when a signer is made and not before, and no other with it', async () => {
  const { arn } = kms.createKey('P-256')
  const printed = await printedBy(`${loaded}
    const { awsKmsSigner } = await import('@countersign/aws-kms')
    console.log(JSON.stringify(sdks()))
    await awsKmsSigner({ keyId: ${JSON.stringify(arn)} })
    console.log(JSON.stringify(sdks()))
  `)
  expect(printed.split('\n').map((line) => JSON.parse(line))).toEqual([[], ['@aws-sdk', 'asn1js']])
})
