import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { endianness } from 'node:os'
import { dirname, join } from 'node:path'
import type { PKCS11 } from 'pkcs11js'
import {
  CKR_CRYPTOKI_ALREADY_INITIALIZED,
  failure,
  guarded,
  moduleFailure,
  returnValueOf,
} from './errors.ts'
import { describeSelector, type TokenLocation, type TokenSelector } from './options.ts'

const CKF_OS_LOCKING_OK = 0x2

const notForHere = /ELF|file too short|exec format|wrong architecture|mach-o|not a valid win32/i

/** Loads a module into this process, and initialises it. */
export async function startModule({
  module,
  libraryParameters,
}: Pick<TokenLocation, 'module' | 'libraryParameters'>): Promise<PKCS11> {
  const native = await loadModule(module)
  // The library removes the last character, and modules read to the first zero.
  const parameters =
    libraryParameters === undefined ? {} : { libraryParameters: `${libraryParameters}\0` }
  try {
    // Without the locks of the operating system, some modules corrupt their memory when several threads sign.
    native.C_Initialize({ flags: CKF_OS_LOCKING_OK, ...parameters })
  } catch (error) {
    if (returnValueOf(error) !== CKR_CRYPTOKI_ALREADY_INITIALIZED)
      throw moduleFailure(error, 'Initialising the module')
  }
  return native
}

/** A token in its slot. */
export interface FoundToken {
  readonly slot: Buffer
  readonly slotNumber: number
  readonly label: string
  readonly serial: string
  readonly manufacturer: string
  readonly model: string
  readonly flags: number
}

/** Finds the one token that a selector means, or throws an error that lists the tokens. */
export function findToken(native: PKCS11, selector: TokenSelector): FoundToken {
  const found: FoundToken[] = []
  const silent: string[] = []
  for (const slot of listSlots(native)) {
    try {
      found.push(readToken(native, slot))
    } catch (error) {
      // It may have been removed meanwhile; the selector may mean another one.
      const { message } = moduleFailure(error, 'Its token')
      silent.push(`slot ${readUlong(slot)} does not answer (${message})`)
    }
  }
  const matching = found.filter((token) => isMeant(token, selector))
  const [token] = matching
  if (token !== undefined && matching.length === 1) return token
  const listed = [...found.map((one) => describe(one, selector)), ...silent]
  const there =
    listed.length === 0
      ? 'there is no token; the module may need a configuration, or a variable that "env" must name'
      : `there are: ${listed.join('; ')}`
  const wanted = describeSelector(selector)
  throw failure(
    'ERR_SIGNER_CONFIG',
    token === undefined
      ? `No token has ${wanted}; ${there}`
      : `${matching.length} tokens have ${wanted}; choose by serial or slot: ${there}`,
    // If there is no token, it may have been removed.
    { retryable: found.length === 0 },
  )
}

function listSlots(native: PKCS11): Buffer[] {
  return guarded('Listing the slots', () => {
    const slots = native.C_GetSlotList(true)
    // Some modules find new tokens only at the second call.
    return slots.length === 0 ? native.C_GetSlotList(true) : slots
  })
}

function readToken(native: PKCS11, slot: Buffer): FoundToken {
  const { label, serialNumber, manufacturerID, model, flags } = native.C_GetTokenInfo(slot)
  return {
    slot,
    slotNumber: readUlong(slot),
    label: trim(label),
    serial: trim(serialNumber),
    manufacturer: trim(manufacturerID),
    model: trim(model),
    flags,
  }
}

function isMeant(token: FoundToken, { slot, ...names }: TokenSelector): boolean {
  if (slot !== undefined && slot !== token.slotNumber) return false
  const keys = ['label', 'serial', 'manufacturer', 'model'] as const
  return keys.every((key) => names[key] === undefined || names[key] === token[key])
}

function describe(token: FoundToken, selector: TokenSelector): string {
  const named = selector.manufacturer !== undefined || selector.model !== undefined
  const { label, serial, slotNumber, manufacturer, model } = token
  const names = `label ${JSON.stringify(label)}, serial ${JSON.stringify(serial)}, slot ${slotNumber}`
  const maker = `, manufacturer ${JSON.stringify(manufacturer)}, model ${JSON.stringify(model)}`
  return named ? `${names}${maker}` : names
}

/** Modules pad the text fields of PKCS#11 with spaces, some with zeros. */
function trim(text: string): string {
  return text.replace(/[\s\0]+$/, '')
}

/** Reads a CK_ULONG, which has 4 or 8 octets, in the byte order of the machine. */
export function readUlong(octets: Buffer): number {
  const little = endianness() === 'LE'
  if (octets.byteLength === 4) return little ? octets.readUInt32LE() : octets.readUInt32BE()
  return Number(little ? octets.readBigUInt64LE() : octets.readBigUInt64BE())
}

/** Loads a module's library, or throws an error that says why that is not possible. */
async function loadModule(path: string): Promise<PKCS11> {
  const { PKCS11 } = await import('pkcs11js').catch((cause) => {
    throw failure(
      'ERR_SIGNER_CONFIG',
      `pkcs11js is not built: run "${rebuild()}" (it needs a C++ compiler, make and Python 3), and allow its install script if your package manager asks`,
      { cause },
    )
  })
  // The system's loader searches for a bare name.
  const isPath = /[\\/]/.test(path)
  if (isPath) await requireFile(path)
  const native = new PKCS11()
  try {
    native.load(path)
  } catch (cause) {
    const text = String((cause as { readonly message?: unknown } | undefined)?.message ?? cause)
    throw failure(
      'ERR_SIGNER_CONFIG',
      `The PKCS#11 module ${path} cannot be loaded: ${reason(text, isPath ? path : undefined)}`,
      { cause },
    )
  }
  return native
}

/** The command that compiles the addon. It uses the headers on this machine, since a firewall may prevent a download. */
function rebuild(): string {
  const folders = [dirname(dirname(process.execPath)), '/usr', '/usr/local']
  const found = folders.find((folder) => existsSync(join(folder, 'include/node/node_api.h')))
  const headers =
    found === undefined || process.platform === 'win32' ? '' : `npm_config_nodedir=${found} `
  return `${headers}npm rebuild pkcs11js`
}

async function requireFile(path: string): Promise<void> {
  const found = await stat(path).catch((cause) => {
    if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') return undefined
    throw failure('ERR_SIGNER_CONFIG', `There is no PKCS#11 module at ${path}; check "module"`, {
      cause,
    })
  })
  if (!found?.isDirectory()) return
  throw failure('ERR_SIGNER_CONFIG', `${path} is a folder; "module" must be the path of a file`)
}

function reason(text: string, path: string | undefined): string {
  if (/permission denied/i.test(text)) return 'this user is not allowed to read it'
  // The GNU loader reports a file for another architecture as missing.
  const notThere = /no such file|cannot open shared object/i.test(text)
  const foreign = notThere && path !== undefined && text.startsWith(`${path}:`)
  if (foreign || notForHere.test(text)) {
    return `it is not a library for ${process.platform} on ${process.arch}; install the one for this machine`
  }
  if (/C_GetFunctionList|procedure could not be found/i.test(text)) {
    return 'it is a library, but not a PKCS#11 module'
  }
  if (notThere) return 'it, or a library that it needs, was not found'
  return 'the cause says why'
}
