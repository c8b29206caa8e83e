import { type ChildProcess, fork } from 'node:child_process'

/** Variables that a module, its libraries and the C library read; `*` stands for the rest of a name. */
const usual = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'TMPDIR', 'TMP', 'TEMP', 'TZ', 'LANG', 'LC_*', 'XDG_*'],
  ...['LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'DYLD_FALLBACK_LIBRARY_PATH'],
  ...['OPENSSL_CONF', 'OPENSSL_MODULES', 'OPENSSL_ENGINES', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
  ...['SystemRoot', 'SystemDrive', 'windir', 'ComSpec', 'PATHEXT', 'USERPROFILE', 'APPDATA'],
  ...['LOCALAPPDATA', 'ProgramData', 'ProgramFiles*', 'CommonProgramFiles*'],
  // Thales Luna, Entrust nShield, ProtectServer, OpenSC, PC/SC, TPM 2.0, NSS, wolfPKCS11, Kryoptic, Parsec
  ...['ChrystokiConfigurationPath', 'NFAST_*', 'CKNFAST_*', 'ET_PTKC_*', 'OPENSC_*', 'PCSCLITE_*'],
  ...['TSS2_*', 'NSS_*', 'WOLFPKCS11_TOKEN_PATH', 'KRYOPTIC_CONF', 'PARSEC_SERVICE_ENDPOINT'],
]

/** Names of this kind are for modules, such as SOFTHSM2_CONF and P11_KIT_SERVER_ADDRESS, ... */
const forModules = /pkcs11|p11|hsm|cryptoki|tpm2/i
/** ... unless they look like a secret, such as HSM_PASSWORD. */
const secret = /pin|pass|pwd|secret|token|key|cred|auth/i

/** What the parent is made to load or to trace must not reach the process that knows the PIN. */
const never = /^(?:node|bun)_options$/i

/**
 * The part of an environment that the process of a module gets: what modules usually need, and no secrets of the
 * application.
 *
 * @param more - names beyond the usual ones; `*` at the end stands for the rest of a name.
 */
function moduleEnvironment(
  environment: NodeJS.ProcessEnv,
  more: readonly string[],
): NodeJS.ProcessEnv {
  const patterns = [...usual, ...more].map((name) => name.toLowerCase())
  const isNamed = (name: string) =>
    patterns.some((pattern) =>
      pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
    )
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) =>
        !never.test(name) &&
        (isNamed(name.toLowerCase()) || (forModules.test(name) && !secret.test(name))),
    ),
  )
}

/** Starts the process that a module runs in. */
export function startChild(sessions: number, env: readonly string[]): ChildProcess {
  return fork(new URL('./child.js', import.meta.url), [], {
    // The module's own output does not belong into that of this process.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: [],
    env: {
      ...moduleEnvironment(process.env, env),
      // One thread for each session, since a module blocks the thread it signs in.
      UV_THREADPOOL_SIZE: String(Math.max(4, sessions)),
    },
    serialization: 'json',
  })
}
