import { expect, test } from 'vitest'
import { run } from '../support/run.js'
import { secretsIn } from '../support/secrets.js'

test('npm run demo succeeds within 5 s, and prints plain text without a secret into a pipe', async () => {
  const started = performance.now()
  const { code, output } = await run(process.execPath, ['scripts/run.mjs', 'demo'], {
    // Without NO_COLOR, so that the demo itself must detect the pipe.
    env: { COUNTERSIGN_PREPARED: '1', NO_COLOR: undefined },
  })
  const seconds = (performance.now() - started) / 1000
  expect(code, output).toBe(0)
  expect(seconds).toBeLessThan(5)
  expect(secretsIn(output)).toEqual([])
  expect(output).not.toContain('\u001b')
})
