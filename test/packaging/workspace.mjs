import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from '../../scripts/lib/child.mjs'
import { Failure } from '../../scripts/lib/failure.mjs'
import { pnpmCommand, pnpmVersion } from '../../scripts/lib/pnpm.mjs'
import { root } from '../../scripts/lib/root.mjs'

/** The next major that runs on Node.js 20. */
const nextPnpm = '12.21.0'

/**
 * Installs the workspace as a contributor does, without the scripts of this repository.
 *
 * @param {import('../../scripts/lib/lane-report.mjs').LaneReport} report
 * @param {{ folder: string }} places
 */
export async function checkWorkspace(report, { folder }) {
  for (const version of [pnpmVersion, nextPnpm]) {
    await report.check(
      `pnpm ${version} install --frozen-lockfile ends with exit code 0`,
      async () => {
        const clone = join(folder, 'clone')
        copyManifests(clone)
        const [program = '', ...args] = await pnpmCommand(version)
        const { code, output } = await run(program, [...args, 'install', '--frozen-lockfile'], {
          cwd: clone,
          // Else pnpm runs the version that package.json names.
          env: { CI: 'true', pnpm_config_pm_on_fail: 'ignore' },
          output: 'capture',
        })
        rmSync(clone, { recursive: true, force: true })
        if (code !== 0) throw new Failure(`${output.slice(-4000)}\nended with exit code ${code}`)
      },
    )
  }
}

/** @param {string} clone */
function copyManifests(clone) {
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0')
  for (const file of files) {
    if (!/(?:^|\/)(?:package\.json|\.npmrc|pnpm-lock\.yaml|pnpm-workspace\.yaml)$/.test(file))
      continue
    mkdirSync(dirname(join(clone, file)), { recursive: true })
    copyFileSync(join(root, file), join(clone, file))
  }
}
