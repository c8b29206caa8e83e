import { run } from './child.mjs'
import { findProgram } from './find-program.mjs'
import { say } from './terminal.mjs'

const debian = ['softhsm2', 'opensc', 'p11-kit', 'p11-kit-modules', 'gcc', 'libc6-dev']

/** The command that installs SoftHSM, OpenSC and p11-kit here, and whether it may be run unasked. */
export function pkcs11Tools() {
  const root = process.getuid?.() === 0
  if (findProgram('apt-get') !== undefined) {
    const install = `apt-get install -y --no-install-recommends ${debian.join(' ')}`
    return { command: root ? install : `sudo ${install}`, unasked: root }
  }
  if (findProgram('dnf') !== undefined) {
    return { command: 'sudo dnf install softhsm opensc p11-kit p11-kit-server gcc', unasked: false }
  }
  if (findProgram('brew') !== undefined) {
    return { command: 'brew install softhsm opensc p11-kit', unasked: false }
  }
  return { command: "SoftHSM 2, OpenSC and p11-kit from your system's packages", unasked: false }
}

/** Installs them where that can be done without asking: on Debian and its kin, by root. */
export async function installPkcs11Tools() {
  const { command, unasked } = pkcs11Tools()
  if (!unasked) return
  say('Installing SoftHSM, OpenSC and p11-kit by apt …')
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update', '-q'], { env, timeoutSeconds: 300 })
  const [program, ...args] = command.split(' ')
  await run(program ?? '', args, { env, timeoutSeconds: 600 })
}
