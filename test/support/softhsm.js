// @ts-check
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const executeFile = promisify(execFile)

/**
 * Runs a tool, for at most a minute.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
const execute = (program, args, env) =>
  executeFile(program, args, { env, timeout: 60_000, killSignal: 'SIGKILL' })

/** Folders in which distributions and Homebrew put PKCS#11 modules. */
function moduleFolders() {
  const triplets = existsSync('/usr/lib')
    ? readdirSync('/usr/lib').filter((name) => name.includes('-linux-'))
    : []
  const roots = [
    '/usr/lib',
    '/usr/lib64',
    '/usr/local/lib',
    '/opt/homebrew/lib',
    ...triplets.map((name) => `/usr/lib/${name}`),
  ]
  return roots.flatMap((root) => [join(root, 'softhsm'), join(root, 'pkcs11'), root])
}

/**
 * Finds a PKCS#11 module of this name.
 *
 * @param {string} file such as `p11-kit-client.so`
 */
export const findModule = (file) =>
  moduleFolders()
    .map((folder) => join(folder, file))
    .find((path) => existsSync(path))

/** Finds SoftHSM's module. */
export const findSoftHsm = () => process.env['SOFTHSM2_MODULE'] ?? findModule('libsofthsm2.so')

/**
 * @typedef {object} Key
 * @property {string} [label]  the object has no label when it is absent
 * @property {string} [id]  in hexadecimal
 */

/**
 * @typedef {object} Token
 * @property {string} label
 * @property {string} pin
 * @property {(key: Key & { type: string, args?: string[] }) => Promise<void>} generateKey  `type` as for pkcs11-tool
 * @property {(key: Key & { privateKey: import('node:crypto').KeyObject }) => Promise<void>} importKey
 * @property {(key: Key & { kind: 'pubkey' | 'privkey' | 'cert' }) => Promise<void>} deleteObject
 * @property {(key: Key & { certificate: Buffer }) => Promise<void>} importCertificate  in DER
 * @property {() => Promise<string>} flags  as pkcs11-tool prints them, such as `user PIN count low`
 * @property {(args: string[]) => Promise<string>} tool  pkcs11-tool, logged in
 */

/**
 * A separate SoftHSM: its tokens are in a temporary folder, and other tokens are not touched.
 *
 * @typedef {object} SoftHsm
 * @property {string} module
 * @property {string} folder  for other files of the test
 * @property {{ SOFTHSM2_CONF: string }} env  the environment of a process that uses it
 * @property {(label: string) => Promise<Token>} createToken
 * @property {(label: string) => Promise<void>} deleteToken
 * @property {(mechanisms: string) => void} setMechanisms  as in softhsm2.conf(5), for modules initialised from now on
 * @property {() => void} remove
 */

/**
 * Makes an empty SoftHSM, and makes it available to this process and its children.
 *
 * @returns {SoftHsm}
 */
export function createSoftHsm() {
  const module = findSoftHsm()
  if (module === undefined) throw new Error('SoftHSM is not installed')
  const folder = mkdtempSync(join(tmpdir(), 'countersign-softhsm-'))
  const tokens = join(folder, 'tokens')
  const conf = join(folder, 'softhsm2.conf')
  mkdirSync(tokens)
  /** @param {string} mechanisms */
  const configure = (mechanisms) =>
    writeFileSync(
      conf,
      [
        `directories.tokendir = ${tokens}`,
        'objectstore.backend = file',
        'log.level = ERROR',
        `slots.mechanisms = ${mechanisms}`,
        '',
      ].join('\n'),
    )
  configure('ALL')
  const env = { SOFTHSM2_CONF: conf }
  Object.assign(process.env, env)
  const all = { ...process.env, ...env }

  /** @param {string[]} args */
  const softhsm = (args) => execute('softhsm2-util', args, all)

  return {
    module,
    folder,
    env,
    async createToken(label) {
      const pin = `pin-${randomBytes(6).toString('hex')}`
      await softhsm([
        '--init-token',
        '--free',
        ...['--label', label, '--so-pin', '12345678', '--pin', pin],
      ])
      return asToken({ module, folder, env: all, label, pin, softhsm })
    },
    async deleteToken(label) {
      await softhsm(['--delete-token', '--token', label])
    },
    setMechanisms: configure,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/**
 * @param {object} context
 * @param {string} context.module
 * @param {string} context.folder
 * @param {NodeJS.ProcessEnv} context.env
 * @param {string} context.label
 * @param {string} context.pin
 * @param {(args: string[]) => Promise<unknown>} context.softhsm
 * @returns {Token}
 */
function asToken({ module, folder, env, label, pin, softhsm }) {
  /** @param {string[]} args */
  async function tool(args) {
    const all = ['--module', module, '--token-label', label, '--login', '--pin', pin, ...args]
    return (await execute('pkcs11-tool', all, env)).stdout
  }
  /** @param {Key} key */
  const names = (key) => [
    ...(key.label === undefined ? [] : ['--label', key.label]),
    ...(key.id === undefined ? [] : ['--id', key.id]),
  ]
  return {
    label,
    pin,
    tool,
    async generateKey({ type, args = [], ...key }) {
      await tool([...['--keypairgen', '--key-type', type, '--usage-sign'], ...names(key), ...args])
    },
    async importKey({ privateKey, ...key }) {
      const file = join(folder, `${randomBytes(4).toString('hex')}.pem`)
      writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
      try {
        await softhsm(['--import', file, '--token', label, '--pin', pin, ...names(key)])
      } finally {
        rmSync(file)
      }
    },
    async deleteObject({ kind, ...key }) {
      await tool(['--delete-object', '--type', kind, ...names(key)])
    },
    async importCertificate({ certificate, ...key }) {
      const file = join(folder, `${randomBytes(4).toString('hex')}.der`)
      writeFileSync(file, certificate)
      await tool(['--write-object', file, '--type', 'cert', ...names(key)])
    },
    async flags() {
      const args = ['--module', module, '--list-token-slots']
      const { stdout } = await execute('pkcs11-tool', args, env)
      const section = stdout.split(/^Slot /m).find((text) => text.includes(`: ${label}\n`))
      return /token flags\s*: (.*)/.exec(section ?? '')?.[1] ?? ''
    },
  }
}
