import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The names of a library's options in its messages, and what to say on the command line; the first match wins. */
const wordings: readonly (readonly [RegExp, string])[] = [
  [/(?:set )?"allowSharedFiles"/g, 'give --allow-shared-files'],
  [/"timeoutSeconds"/g, '--timeout'],
  [/give it in "schemes"/g, 'name the package with --scheme'],
  [/Each of "schemes"/g, 'Each scheme of a package'],
  [/"clientId"/g, '--client-metadata'],
  [/"jwksUri"/g, '--jwks-uri'],
  [/"clientName"/g, '--client-name'],
  [/set the option "dpop"/g, 'give --dpop'],
  [/Set the option "dpop"/g, 'Give --dpop'],
  [/accept a bearer token with dpop: \{ required: false \}/g, 'leave --dpop and --dpop-key out'],
  [/use a DPoP key of a listed algorithm/g, 'give a key of a listed algorithm with --dpop-key'],
  [/"maxScope"/g, '--max-scope'],
  [
    /Pin the authorization server whose tokens it accepts with the option "issuer"/g,
    'Give its authorization server with --issuer',
  ],
  [
    /Pin the issuer of the server that it is for, or use .+$/g,
    'Give the issuer of the server that it is for with --issuer, or --audience token_endpoint, or leave --audience out',
  ],
  [/give the signer the option alg: '([\w-]+)'/g, 'add alg=$1 to the query of the key URI'],
  [/choose another "alg"/g, 'choose another one by alg= in the query of the key URI'],
  [/"alg" and the "serviceVersion" of "clientOptions"/g, 'alg= in the query of the key URI'],
  [/alias is written alias\/NAME/g, 'alias is written awskms:///alias/NAME'],
  [
    /give "region", an ARN as "keyId", or set AWS_REGION/g,
    'add ?region=eu-west-1 or another one to the key URI, name the key by its ARN (awskms:///arn:aws:kms:…), or set AWS_REGION',
  ],
  [/^"keyId"|The "keyId"/g, 'The key URI'],
  [/"keyId"/g, 'the key URI'],
  [/(?:The|the) "region" is/g, 'The region in the key URI is'],
  [/leave "region" out/g, 'leave it out'],
  [/"module"/g, 'module-path= in the key URI'],
  [/give its "pin"/g, 'give its PIN with --pin-file or COUNTERSIGN_PIN'],
  [
    /([;,]) (check|give) its "passphrase"/g,
    '$1 $2 its passphrase with --passphrase-file or COUNTERSIGN_PASSPHRASE',
  ],
  [/, or pass a "client" that has some/g, ''],
  [/set (\w+), or give "client" or "clientOptions" with credentials/g, 'or set $1'],
  [/the timeouts of the "client"/g, 'the timeouts of its SDK'],
  [/give one of them a "kid" of its own/g, 'give one of them another by kid= in its key URI'],
]

/** Replaces the option names in a library's message by those of the command line. */
export function inOptions(message: string): string {
  return wordings.reduce((rest, [name, words]) => rest.replaceAll(name, words), message)
}

const ownFile = fileURLToPath(import.meta.url)

/** Replaces the advice to run "npm install" by the command that fits how this program was started. */
export function withInstallAdvice(message: string, file: string = ownFile): string {
  return message.replace(/run "npm install ([^"]+)"/, (_whole, packages: string) =>
    installAdvice(packages.split(' '), file),
  )
}

/** The command that installs packages where the program in this file finds them. */
function installAdvice(packages: readonly string[], file: string): string {
  const path = file.replaceAll('\\', '/')
  const list = packages.join(' ')
  const all = ['countersign', ...packages]
  if (path.includes('/_npx/')) {
    return `run "npx ${all.map((name) => `-p ${name}`).join(' ')} countersign …"`
  }
  if (/\/dlx(?:-\d+)?\//.test(path)) {
    return `run "pnpm ${all.map((name) => `--package=${name}`).join(' ')} dlx countersign …"`
  }
  const at = path.indexOf('/node_modules/')
  if (at < 0) return `run "npm run build" in the clone, which installs what the packages need`
  if (path.includes('/pnpm/global/')) return `run "pnpm add -g ${list}"`
  if (path.includes('/yarn/global/')) return `run "yarn global add ${list}"`
  if (path.includes('/.bun/install/global/')) return `run "bun add -g ${list}"`
  const project = file.slice(0, at)
  // Where npm installs globally, there is no package.json.
  if (!existsSync(join(project, 'package.json'))) return `run "npm install -g ${list}"`
  return `run "${addCommand(project)} ${list}" in ${project}`
}

const lockFiles: readonly (readonly [file: string, command: string])[] = [
  ['package-lock.json', 'npm install'],
  ['pnpm-lock.yaml', 'pnpm add'],
  ['yarn.lock', 'yarn add'],
  ['bun.lock', 'bun add'],
  ['bun.lockb', 'bun add'],
]

/** The install command of a project's package manager; in a workspace, the lock file is in a parent folder. */
function addCommand(folder: string): string {
  const [, command] = lockFiles.find(([file]) => existsSync(join(folder, file))) ?? []
  if (command !== undefined) return command
  const parent = dirname(folder)
  return parent === folder ? 'npm install' : addCommand(parent)
}
