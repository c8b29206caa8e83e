import { spawn } from 'node:child_process'
import { expect, it } from 'vitest'

const core = new URL('../dist/index.js', import.meta.url)

/** Runs a program over the built package to its end, and returns what it said and how long it took. */
async function run(program: string): Promise<{ said: string; seconds: number }> {
  const source = `import { generateKeyPairSync, sign } from 'node:crypto'
    import { clientAssertion, createSigner, rotating } from ${JSON.stringify(core.href)}
    const { publicKey, privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const backend = { name: 'x', alg: 'ES256', publicKey,
      sign: ({ message, hash }) => sign(hash, message, { key, dsaEncoding: 'ieee-p1363' }) }
    const client = { clientId: 'c', audience: 'a' }
    let [loads, time] = [0, 1e12]
    const load = async () => {
      if (++loads > 1) await new Promise(() => {})
      return createSigner(backend)
    }
    const source = rotating(load, { maxAgeSeconds: 60, now: () => time })\n`
  const start = performance.now()
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source + program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 20_000,
  })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  await new Promise((resolve) => child.on('close', resolve))
  return { said, seconds: (performance.now() - start) / 1000 }
}

it('a process that has its assertion ends, with its rotating signer open', async () => {
  const { said, seconds } = await run(`await clientAssertion(source, client)
    console.log('signed', loads)`)
  expect(said).toBe('signed 1\n')
  expect(seconds).toBeLessThan(10)
})

it('a load in the background that hangs keeps no process alive', async () => {
  const { said, seconds } = await run(`await source.ready()
    time += 60_000
    await clientAssertion(source, client)
    console.log('signed', loads)`)
  expect(said).toBe('signed 2\n')
  expect(seconds).toBeLessThan(10)
})
