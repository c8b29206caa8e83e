import { text } from 'node:stream/consumers'
import type { CallToolResult } from '@modelcontextprotocol/client'
import type { ClientOptions } from './client-options.ts'
import { type ExitCode, exitCodes } from './exit-code.ts'
import type { Frame } from './frame.ts'
import type { KeyOptions } from './key-option.ts'
import { withMcpServer } from './mcp-session.ts'
import { UsageError } from './usage-error.ts'

/** What to call, as it stands on the command line. */
export interface Call {
  readonly url: string
  readonly tool: string
  /** A JSON object, or `-` for standard input. */
  readonly json: string
}

/** Runs `countersign call`; a tool that answers with an error is a refusal. */
export async function callTool(
  frame: Frame,
  { url, tool, json }: Call,
  options: KeyOptions & ClientOptions,
): Promise<ExitCode> {
  const { output } = frame
  const args = parseArguments(json === '-' ? await text(process.stdin) : json)
  const result = await withMcpServer(frame, url, options, (client, request) =>
    frame.progress(`Calling ${tool}`, () =>
      client.callTool({ name: tool, arguments: args }, request),
    ),
  )
  output.print(result, () => output.clean(result.content.map(describe).join('\n')))
  return result.isError ? exitCodes.refused : exitCodes.ok
}

function parseArguments(json: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    // Not what the parser says, which repeats a part of it.
    throw new UsageError(`The tool's arguments are not JSON; give an object such as '{"a": 2}'`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw new UsageError(`The tool's arguments must be a JSON object, such as '{"a": 2}'`)
}

/** A piece of what a tool answers: text as it is, anything else by its kind. */
function describe(content: CallToolResult['content'][number]): string {
  if (content.type === 'text') return content.text
  if (content.type === 'resource_link') return `[${content.type}: ${content.uri}]`
  if (content.type === 'resource') return `[${content.type}: ${content.resource.uri}]`
  return `[${content.type}: ${content.mimeType}; --json prints it]`
}
