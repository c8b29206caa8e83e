import { errorCodes, errorResponse, type Message } from './message.ts'
import type { ToolList } from './tool-list.ts'

/** Options of {@link toolFilter}. */
export interface ToolFilterOptions {
  /** Patterns of names, with * for any characters; all tools by default. */
  readonly allowTool?: readonly string[] | undefined
  readonly denyTool?: readonly string[] | undefined
  /** Whether to hide tools that do not say that they change nothing. */
  readonly readOnly?: boolean | undefined
}

/** Hides tools from the host. It is a convenience, and not a boundary: the server decides what a token may do. */
export interface ToolFilter {
  /** Whether the list of tools decides about a message, and has not been read. */
  needsList(messages: readonly Message[]): boolean
  /** The answers to a message with a call of a hidden tool; `undefined` for every other message. */
  refuse(messages: readonly Message[]): string[] | undefined
  /** The results of `tools/list` in a text, without the hidden tools. */
  filterList(text: string): string
}

interface Tool {
  readonly name?: unknown
  readonly annotations?: { readonly readOnlyHint?: unknown }
}

/** Makes a {@link ToolFilter}; `undefined` when the options hide no tool. */
export function toolFilter(options: ToolFilterOptions, tools: ToolList): ToolFilter | undefined {
  const { allowTool, denyTool, readOnly = false } = options
  if (allowTool === undefined && denyTool === undefined && !readOnly) return undefined

  const isNamed = (name: string): boolean =>
    (allowTool === undefined || allowTool.some((pattern) => matches(pattern, name))) &&
    !denyTool?.some((pattern) => matches(pattern, name))

  const isListed = (tool: Tool | null): boolean =>
    isNamed(String(tool?.name)) && (!readOnly || tool?.annotations?.readOnlyHint === true)

  const isReadOnly = ({ params }: ToolCall): boolean =>
    tools.get(String(params.name))?.isReadOnly === true

  function whyRefused(message: Message): string | undefined {
    if (!isToolCall(message)) return undefined
    const tool = JSON.stringify(message.params.name)
    const name = String(message.params.name)
    if (!isNamed(name)) {
      return `The options of the proxy do not allow the tool ${tool}; change --allow-tool or --deny-tool`
    }
    if (!readOnly || isReadOnly(message)) return undefined
    return `The tool ${tool} has not been listed as one that changes nothing; leave --read-only out to allow it`
  }

  function filterAnswer(answer: { readonly result?: { readonly tools?: unknown } }): object {
    const listed = answer.result?.tools
    if (!Array.isArray(listed)) return answer
    return { ...answer, result: { ...answer.result, tools: listed.filter(isListed) } }
  }

  return {
    needsList: (messages) =>
      readOnly &&
      !tools.isComplete &&
      messages.some((message) => isToolCall(message) && !isReadOnly(message)),
    refuse(messages) {
      const reason = messages.map(whyRefused).find((one) => one !== undefined)
      if (reason === undefined) return undefined
      const requests = messages.filter((one) => one.kind === 'request')
      return requests.map((one) => errorResponse(one.id, errorCodes.invalidParams, reason))
    },
    filterList(text) {
      const value = JSON.parse(text)
      return JSON.stringify(Array.isArray(value) ? value.map(filterAnswer) : filterAnswer(value))
    },
  }
}

type ToolCall = Extract<Message, { readonly kind: 'request' }>

const isToolCall = (message: Message): message is ToolCall =>
  message.kind === 'request' && message.method === 'tools/call'

/** Compares part by part, because a pattern with many stars would take a regular expression exponential time. */
function matches(pattern: string, name: string): boolean {
  const [first = '', ...parts] = pattern.split('*')
  const last = parts.pop()
  if (last === undefined) return pattern === name
  if (!name.startsWith(first) || !name.endsWith(last)) return false
  let at = first.length
  for (const part of parts) {
    const found = name.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= name.length - last.length
}
