import { expect, test } from 'vitest'
import { isAlive } from './processes.js'
import { run } from './run.js'
import { until } from './until.js'

test.skipIf(process.platform === 'win32')(
  'a program that does not end in time is ended with its subprocesses, and its output is returned',
  async () => {
    const script = 'trap "" TERM; sleep 60 & echo $!; wait'
    const { timedOut, output } = await run('sh', ['-c', script], { timeoutSeconds: 1 })
    expect(timedOut).toBe(true)
    expect(Number(output)).toBeGreaterThan(0)
    await until(() => !isAlive(Number(output)))
  },
)
