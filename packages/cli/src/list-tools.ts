import { type ClientOptions, required } from './client-options.ts'
import type { Frame } from './frame.ts'
import type { KeyOptions } from './key-option.ts'
import { withMcpServer } from './mcp-session.ts'

/** Runs `countersign tools`. */
export async function listTools(
  frame: Frame,
  url: string | undefined,
  options: KeyOptions & ClientOptions,
): Promise<undefined> {
  const { output } = frame
  const server = required(
    url || process.env['COUNTERSIGN_MCP_URL'],
    'URL of the MCP server',
    'COUNTERSIGN_MCP_URL',
  )
  const { tools } = await withMcpServer(frame, server, options, (client, request) =>
    frame.progress('Listing the tools', () => client.listTools(undefined, request)),
  )
  output.print({ tools }, () => {
    const width = Math.max(0, ...tools.map(({ name }) => name.length))
    return tools
      .map(({ name, title, description }) => {
        const about = oneLine(description ?? title ?? '')
        return output.clean(`${name.padEnd(width)}  ${about}`.trimEnd())
      })
      .join('\n')
  })
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()
