import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { withInstallAdvice } from '../../packages/cli/src/wording.ts'
import { root } from '../../scripts/workspace.mjs'

const home = mkdtempSync(join(realpathSync(tmpdir()), 'countersign-installed-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

const own = {
  countersign: 'cli',
  agent: 'agent',
  core: 'core',
  local: 'local',
  mcp: 'mcp',
  oauth: 'oauth',
  uri: 'uri',
}

/** Puts the packages of the command below a folder as a package manager does: its own as copies, the others by links. */
function installBelow(folder: string): string {
  const modules = join(folder, 'node_modules')
  for (const [name, source] of Object.entries(own)) {
    const from = join(root, 'packages', source)
    const to = join(modules, name === 'countersign' ? name : `@countersign/${name}`)
    for (const part of ['dist', 'package.json']) {
      cpSync(join(from, part), join(to, part), { recursive: true })
    }
    const others = join(from, 'node_modules')
    for (const entry of readdirSync(others, { recursive: true, encoding: 'utf8' })) {
      if (!/^(?:@[^/]+\/)?[^@./][^/]*$/.test(entry) || entry.startsWith('@countersign')) continue
      const target = join(modules, entry)
      mkdirSync(dirname(target), { recursive: true })
      try {
        symlinkSync(realpathSync(join(others, entry)), target)
      } catch {
        // Another package has brought it.
      }
    }
  }
  return join(modules, 'countersign/dist/bin.js')
}

/** What the command says of a key whose backend is not installed. */
function inspectKms(bin: string): Promise<{ code: unknown; stderr: string }> {
  const args = [bin, 'inspect', 'awskms:///alias/agent?region=eu-west-1']
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      args,
      { env: { PATH: process.env['PATH'] } },
      (error, _out, stderr) => resolve({ code: error?.code, stderr }),
    )
  })
}

const missing = '@countersign/aws-kms @aws-sdk/client-kms'

it.each([
  ['npm install', 'project', ['package.json', 'package-lock.json'], `"npm install ${missing}" in `],
  ['pnpm add', 'pnpm-project', ['package.json', 'pnpm-lock.yaml'], `"pnpm add ${missing}" in `],
  ['yarn add', 'yarn-project', ['package.json', 'yarn.lock'], `"yarn add ${missing}" in `],
  ['bun add', 'bun-project', ['package.json', 'bun.lock'], `"bun add ${missing}" in `],
  ['npm install -g', 'prefix/lib', [], `"npm install -g ${missing}"`],
  [
    'npx countersign',
    '.npm/_npx/0123456789abcdef',
    ['package.json'],
    '"npx -p countersign -p @countersign/aws-kms -p @aws-sdk/client-kms countersign …"',
  ],
  [
    'pnpm dlx countersign',
    '.cache/pnpm/dlx/0123456789/19ac-1',
    ['package.json'],
    '"pnpm --package=countersign --package=@countersign/aws-kms --package=@aws-sdk/client-kms dlx countersign …"',
  ],
  ['pnpm add -g', '.local/share/pnpm/global/5', ['package.json'], `"pnpm add -g ${missing}"`],
])(
  'a program that was installed by "%s" is told the command that adds a backend there',
  async (_what, folder, files, advice) => {
    const path = join(home, folder)
    mkdirSync(path, { recursive: true })
    for (const file of files) writeFileSync(join(path, file), '{}')
    const { code, stderr } = await inspectKms(installBelow(path))
    expect(code).toBe(2)
    expect(stderr).toBe(
      `countersign: The package @countersign/aws-kms is not installed; run ${advice}${advice.endsWith('in ') ? path : ''}\n`,
    )
  },
)

it('a program in a clone is told to build it', () => {
  const message = 'The package pkcs11js is not installed; run "npm install pkcs11js"'
  expect(withInstallAdvice(message, '/home/a/countersign/packages/cli/dist/x.js')).toBe(
    'The package pkcs11js is not installed; run "npm run build" in the clone, which installs what the packages need',
  )
})

it('a program that lacks one of its own packages says which, and fails', async () => {
  const path = join(home, 'incomplete')
  const bin = installBelow(path)
  rmSync(join(path, 'node_modules/@countersign/agent'), { recursive: true })
  const { code, stderr } = await inspectKms(bin)
  expect(code).toBe(70)
  expect(stderr).toMatch(
    /^countersign: Cannot find package '@countersign\/agent' imported from .*; install countersign again$/m,
  )
})
