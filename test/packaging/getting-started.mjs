import { match } from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { test } from 'vitest'
import { withTarballs } from '../../scripts/pack.mjs'
import { root } from '../../scripts/workspace.mjs'
import { startMiniStack } from '../servers/ministack.js'
import { ministack, pythonEnvironment } from '../support/python.js'
import { output } from '../support/run.js'
import { createSoftHsm, findSoftHsm } from '../support/softhsm.js'
import { installLine, pinned } from './pages.mjs'

const page = readFileSync(join(root, 'docs/getting-started.md'), 'utf8')

/**
 * Returns the blocks of a language under a heading.
 *
 * @param {string} heading
 * @param {string} language
 */
function blocks(heading, language) {
  const [, section = ''] = page.split(new RegExp(`^#+ ${heading}.*$`, 'm'))
  const [own = ''] = section.split(/^#+ [A-Z\d].*$/m)
  const found = [...own.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'gm'))]
  if (found.length === 0) throw new Error(`"${heading}" has no block of ${language}.`)
  return found.map(([, text = '']) => text)
}

/**
 * Runs the blocks of docs/getting-started.md unchanged, in a shell that preserves the variables between blocks.
 *
 * @param {readonly import('../../scripts/pack.mjs').Packed[]} packed
 * @param {{ folder: string, pair: import('../servers/pair.js').Pair }} places
 */
export function checkGettingStarted(packed, { folder, pair }) {
  /** Puts Python, with the packages that the page uses, and the AWS CLI on the PATH of the shells. */
  function installPython() {
    const environment = pythonEnvironment('docs-python', 'test/packaging/python-requirements.txt')
    const reason = environment.install()
    if (reason !== undefined) return reason
    const programs = { python: '', aws: '-m awscli ' }
    mkdirSync(join(folder, 'python'), { recursive: true })
    for (const [name, args] of Object.entries(programs)) {
      const script = `#!/bin/sh\nexec ${environment.python()} ${args}"$@"\n`
      writeFileSync(join(folder, 'python', name), script, { mode: 0o755 })
    }
    return undefined
  }

  /**
   * @param {string} name
   * @param {Record<string, string>} [env]
   */
  function shell(name, env = {}) {
    const place = join(folder, name)
    mkdirSync(place)
    writeFileSync(join(place, 'variables'), '')
    return {
      place,
      /** @param {string} block */
      async run(block) {
        const script = block
          .replaceAll(installLine, (_line, words) => {
            const args = withTarballs(pinned(words.split(' ')), packed)
            return `npm install --no-audit --no-fund ${args.join(' ')}`
          })
          .replaceAll('https://as.example.com', pair.authorizationServer.issuer)
          .replaceAll('https://mcp.example.com/mcp', pair.mcpServer.url)
          .replaceAll(`invoices '{"month":"2026-11"}'`, 'whoami')
        return output('bash', ['-c', `set -e; . ./variables; ${script}\nexport -p > ./variables`], {
          cwd: place,
          env: {
            npm_config_prefix: place,
            npm_config_local_prefix: undefined,
            PATH: [join(place, 'bin'), join(folder, 'python'), process.env['PATH']].join(delimiter),
            ...env,
          },
        })
      },
    }
  }

  const file = shell('getting-started')
  test('getting started: a key in a file', async () => {
    for (const block of blocks('A file', 'sh')) await file.run(block)
    for (const block of blocks('2\\. ', 'sh')) match(await file.run(block), /^algorithm +ES256$/m)
  })
  test('getting started: register, check, list, call', async () => {
    const [print = '', variables = ''] = blocks('3\\. ', 'sh')
    await file.run(print)
    await pair.authorizationServer.registerClient({
      client_id: 'billing-agent',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: JSON.parse(readFileSync(join(file.place, 'jwks.json'), 'utf8')),
    })
    await file.run(variables)
    const [doctor = '', tools = ''] = blocks('4\\. ', 'sh')
    match(await file.run(doctor), /tools/)
    match(await file.run(tools), /billing-agent/)
  })

  test('getting started: agent.mjs reads the variables of the earlier steps', async () => {
    for (const block of blocks('5\\. ', 'sh')) await file.run(block)
    const [program = ''] = blocks('5\\. ', 'js')
    writeFileSync(join(file.place, 'agent.mjs'), program)
    match(await file.run('node agent.mjs'), /'whoami'/)
  })

  test('getting started: agent.py gets its assertions from the command', async ({ skip }) => {
    const reason = installPython()
    if (reason !== undefined) skip(`missing: ${reason}`)
    writeFileSync(join(file.place, 'agent.py'), blocks('In Python', 'python').join(''))
    match(await file.run('python agent.py'), /'whoami'/)
  })

  test('getting started: a key in AWS KMS', async ({ skip }) => {
    const reason = installPython() ?? ministack.install()
    if (reason !== undefined) skip(`missing: ${reason}`)
    const kms = await startMiniStack()
    const { endpoint, credentials } = kms.client
    try {
      const aws = shell('getting-started-aws', {
        AWS_ENDPOINT_URL: endpoint,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_REGION: '',
        AWS_DEFAULT_REGION: '',
        AWS_CONFIG_FILE: '/nonexistent',
        AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
        AWS_EC2_METADATA_DISABLED: 'true',
      })
      for (const block of blocks('AWS KMS', 'sh')) await aws.run(block)
      match(await aws.run('countersign inspect'), /^backend +aws-kms$/m)
    } finally {
      await kms.close()
    }
  })

  test('getting started: a key on a PKCS#11 token', async ({ skip }) => {
    const module = findSoftHsm()
    if (module === undefined) return skip('missing: SoftHSM and OpenSC are not installed')
    const softHsm = createSoftHsm()
    try {
      const token = shell('getting-started-pkcs11', { ...softHsm.env, COUNTERSIGN_PIN: '1234' })
      for (const block of blocks('A PKCS#11 token', 'sh')) {
        await token.run(
          block
            .replaceAll('/usr/lib/softhsm/libsofthsm2.so', module)
            // These ask for PINs on a terminal.
            .replace('--init-token', '--init-token --so-pin 12345678 --pin 1234')
            .replace('--login', '--login --pin 1234'),
        )
      }
      match(await token.run('countersign inspect'), /^backend +pkcs11$/m)
    } finally {
      softHsm.remove()
    }
  })
}
