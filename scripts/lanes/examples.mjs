import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../lib/child.mjs'
import { missing } from '../lib/counts.mjs'
import { Failure } from '../lib/failure.mjs'
import { LaneReport, NotInstalled } from '../lib/lane-report.mjs'
import { prepared } from '../lib/prepare.mjs'
import { examples } from '../lib/workspace.mjs'

const timeoutSeconds = 60

/** The exit code of an example that needs what is not installed; its last line says what. */
const notInstalled = 77

/** Runs every example; each checks itself and says with its exit code whether it works. */
export async function examplesLane() {
  const all = examples()
  if (all.length === 0) return missing('examples/ holds no example')
  const report = new LaneReport()
  for (const { folder, path, manifest } of all) {
    await report.check(`examples/${folder}`, async () => {
      const main = manifest.main ?? 'index.js'
      if (!existsSync(join(path, main)))
        throw new Failure(`examples/${folder}/${main} does not exist.`)
      const { code, output, timedOut } = await run(process.execPath, [main], {
        cwd: path,
        env: prepared,
        output: 'capture',
        timeoutSeconds,
      })
      if (timedOut) throw new Failure(`${output}\nnot finished after ${timeoutSeconds} s`)
      if (code === notInstalled) throw new NotInstalled(output.trim().split('\n').at(-1))
      if (code !== 0) throw new Failure(`${output}\nended with exit code ${code}`)
    })
  }
  return report.counts
}
