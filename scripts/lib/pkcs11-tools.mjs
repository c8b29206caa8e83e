import { aptCommand, aptInstall } from './apt.mjs'
import { findProgram } from './find-program.mjs'

const debian = ['softhsm2', 'opensc', 'p11-kit', 'p11-kit-modules', 'gcc', 'libc6-dev']

/** The command that installs SoftHSM, OpenSC and p11-kit here. */
export function pkcs11Tools() {
  if (findProgram('apt-get') !== undefined) return aptCommand(debian)
  if (findProgram('dnf') !== undefined) {
    return 'sudo dnf install softhsm opensc p11-kit p11-kit-server gcc'
  }
  if (findProgram('brew') !== undefined) return 'brew install softhsm opensc p11-kit'
  return "SoftHSM 2, OpenSC and p11-kit from your system's packages"
}

/** Installs them where that can be done without asking. */
export const installPkcs11Tools = () => aptInstall(debian, 'SoftHSM, OpenSC and p11-kit')
