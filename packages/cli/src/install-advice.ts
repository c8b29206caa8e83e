import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ownFile = fileURLToPath(import.meta.url)

/** Replaces the advice to run "npm install" by a command that fits how this program was started. */
export function withInstallAdvice(message: string, file: string = ownFile): string {
  return message.replace(/run "npm install ([^"]+)"/, (_whole, packages: string) =>
    installAdvice(packages.split(' '), file),
  )
}

/** Says how to install packages where the program in a file finds them. */
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
  // npm has no project where it installs globally.
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

/** The package manager of a project; a workspace has its lock file above. */
function addCommand(folder: string): string {
  const [, command] = lockFiles.find(([file]) => existsSync(join(folder, file))) ?? []
  if (command !== undefined) return command
  const parent = dirname(folder)
  return parent === folder ? 'npm install' : addCommand(parent)
}
