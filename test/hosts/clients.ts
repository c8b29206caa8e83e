import { fileURLToPath } from 'node:url'
import { fastMcp } from '../support/python.js'
import { output } from '../support/run.js'

/** Calls a tool of the server in a configuration, which is JSON, with FastMCP. */
export async function callByFastMcp(
  config: string,
  tool: string,
  args: Readonly<Record<string, number>>,
): Promise<string> {
  const python = fastMcp.python()
  if (python === undefined) throw new Error('not installed; run npm test -- --lane hosts')
  const script = fileURLToPath(new URL('fastmcp_client.py', import.meta.url))
  const given = [config, JSON.stringify(tool), JSON.stringify(args)]
  return output(python, [script, ...given], { timeoutSeconds: 60 })
}
