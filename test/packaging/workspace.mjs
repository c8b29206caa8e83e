import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'vitest'
import { pnpmCommand, pnpmVersion } from '../../scripts/prepare.mjs'
import { root } from '../../scripts/workspace.mjs'
import { output } from '../support/run.js'

/** The next major that runs on Node.js 20. */
const nextPnpm = '12.21.0'

/**
 * Installs the workspace as a contributor does without the scripts of this repository.
 *
 * @param {{ folder: string }} places
 */
export function checkWorkspace({ folder }) {
  for (const version of [pnpmVersion, nextPnpm]) {
    test(`pnpm ${version} install --frozen-lockfile ends with exit code 0`, async () => {
      const clone = join(folder, 'clone')
      copyManifests(clone)
      const [program = '', ...args] = pnpmCommand(version)
      await output(program, [...args, 'install', '--frozen-lockfile'], {
        cwd: clone,
        // Without this, pnpm runs the version that package.json names.
        env: { CI: 'true', pnpm_config_pm_on_fail: 'ignore' },
      })
      rmSync(clone, { recursive: true, force: true })
    })
  }
}

/** @param {string} clone */
function copyManifests(clone) {
  const options = { cwd: root, encoding: /** @type {const} */ ('utf8'), timeout: 10_000 }
  const files = execFileSync('git', ['ls-files', '-z'], options).split('\0')
  for (const file of files) {
    if (!/(?:^|\/)(?:package\.json|\.npmrc|pnpm-lock\.yaml|pnpm-workspace\.yaml)$/.test(file))
      continue
    mkdirSync(dirname(join(clone, file)), { recursive: true })
    copyFileSync(join(root, file), join(clone, file))
  }
}
