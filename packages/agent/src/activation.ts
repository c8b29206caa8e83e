import { execFile } from 'node:child_process'
import { SocketError } from './socket.ts'

/** The first file descriptor that systemd passes, sd_listen_fds(3). */
const firstDescriptor = 3

/**
 * Returns the file descriptor of the socket that systemd opened for this process; `undefined` when it opened none.
 *
 * The variables are removed, so that a subprocess does not take them for its own.
 *
 * @throws {@link SocketError} when systemd passes several sockets.
 *
 * @see [sd_listen_fds(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html)
 */
export function activationDescriptor(env: NodeJS.ProcessEnv = process.env): number | undefined {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = env as Record<string, string | undefined>
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name]
  if (pid !== String(process.pid) || count === undefined) return undefined
  if (count === '1') return firstDescriptor
  throw new SocketError(
    `systemd passes ${Number(count)} sockets, and the agent takes one; leave one ListenStream in its socket unit`,
  )
}

/**
 * Tells systemd that the service is ready, by the program `systemd-notify`: Node.js has no datagram sockets of the Unix
 * family. It does nothing without `NOTIFY_SOCKET`. The unit needs `NotifyAccess=all`.
 *
 * @param report - is told when the program fails.
 *
 * @see [sd_notify(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html)
 */
export function notifyReady(report: (message: string) => void): void {
  if (!process.env['NOTIFY_SOCKET']) return
  const args = ['--ready', `--pid=${process.pid}`]
  execFile('systemd-notify', args, { timeout: 5000 }, (error) => {
    if (error !== null) report(`systemd-notify failed (${error.code ?? error.signal})`)
  })
}
