import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/**
 * Returns the path of the agent's socket: the given one, or else `COUNTERSIGN_AGENT`, or else
 * `$XDG_RUNTIME_DIR/countersign/agent.sock`. Without `XDG_RUNTIME_DIR` it is in a folder of the user in the system's
 * folder for temporary files.
 *
 * @param given - an absolute path; `unix:` or `unix://` may precede it.
 * @throws `TypeError` when the path is not absolute.
 */
export function agentSocketPath(
  given: string | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const named = given || env['COUNTERSIGN_AGENT'] || join(runtimeFolder(env), 'agent.sock')
  const path = named.replace(/^unix:(?:\/\/(?=\/))?/, '')
  if (isAbsolute(path) && !path.includes('\0')) return path
  throw new TypeError(
    'The socket of the agent must be an absolute path, such as /run/user/1000/countersign/agent.sock',
  )
}

/** The folder of the socket. Its checks refuse a folder that another user made. */
function runtimeFolder({
  XDG_RUNTIME_DIR: folder,
}: Readonly<Record<string, string | undefined>>): string {
  if (folder && isAbsolute(folder)) return join(folder, 'countersign')
  return join(tmpdir(), `countersign-${process.getuid?.() ?? 'agent'}`)
}
