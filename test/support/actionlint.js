// @ts-check
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cache } from '../../scripts/workspace.mjs'
import { findProgram } from './debian.js'
import { output } from './run.js'

const version = 'v1.7.12'

/** Why actionlint cannot be built, or `undefined` when it can. */
export const actionlintMissing = () =>
  existsSync(program()) || findProgram('go') !== undefined
    ? undefined
    : 'go not found; install with: apt-get install golang, or from go.dev'

/**
 * The path of actionlint, which Go builds into `.cache` the first time.
 *
 * @returns {Promise<string>}
 */
export async function actionlint() {
  if (!existsSync(program())) {
    const env = { GOBIN: folder(), GOFLAGS: '-mod=mod' }
    await output('go', ['install', `github.com/rhysd/actionlint/cmd/actionlint@${version}`], {
      env,
    })
  }
  return program()
}

const folder = () => join(cache, 'actionlint', version)
const program = () => join(folder(), process.platform === 'win32' ? 'actionlint.exe' : 'actionlint')
