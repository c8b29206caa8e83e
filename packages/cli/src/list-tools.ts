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
    const names = tools.map(({ name }) => oneLine(name))
    const width = names.reduce((most, { length }) => Math.max(most, length), 0)
    return tools
      .map(({ title, description }, at) => {
        const name = output.clean(names[at] ?? '').padEnd(Math.min(width, widest))
        return output.hang(`${name}  `, output.clean(oneLine(description ?? title ?? ''))).trimEnd()
      })
      .join('\n')
  })
}

/** A server may call its tools what it likes. */
const widest = 64

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()
