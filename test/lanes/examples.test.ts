import { expect, test } from 'vitest'
import { examples } from '../../scripts/workspace.mjs'
import { run } from '../support/run.js'

/** The exit code of an example whose requirement is not installed. Its last line says what is missing. */
const notInstalled = 77

test.for(examples())(
  'examples/$folder checks itself and succeeds',
  { timeout: 90_000 },
  async ({ path, manifest }, { skip }) => {
    const { code, output } = await run(process.execPath, [manifest.main ?? 'index.js'], {
      cwd: path,
      timeoutSeconds: 60,
    })
    if (code === notInstalled) skip(`missing: ${output.trim().split('\n').at(-1)}`)
    expect(code, output).toBe(0)
  },
)
