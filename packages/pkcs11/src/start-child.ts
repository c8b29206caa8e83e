import { type ChildProcess, fork } from 'node:child_process'
import type { Socket } from 'node:net'

/** Starts the process that a module runs in. */
export function startChild(sessions: number): ChildProcess {
  // What this process is made to load or to trace has no business where the PIN is.
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = fork(new URL('./child.js', import.meta.url), [], {
    // The module's own output has no place in this process's; the fifth is what the watchdog watches.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc', 'pipe'],
    execArgv: [],
    // One thread for each session, since a module blocks the thread it signs in.
    env: { ...env, UV_THREADPOOL_SIZE: String(Math.max(4, sessions)) },
    serialization: 'json',
  })
  // Absent when there are no file descriptors left to start it with.
  const lifeline = child.stdio?.[4] as Socket | null | undefined
  lifeline?.on('error', () => {})
  lifeline?.unref()
  return child
}
