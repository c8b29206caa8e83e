import { type HeaderParameter, headerParameters } from './parameter-headers.ts'

/** What the proxy knows of a tool from the answers to `tools/list`. */
export interface KnownTool {
  /** Whether the tool says that it changes nothing. */
  readonly isReadOnly: boolean
  /** The arguments that the headers of a call repeat. */
  readonly headerParameters: readonly HeaderParameter[]
}

/** The tools in the answers to `tools/list`. Its memory is bounded: the oldest tools are forgotten first. */
export interface ToolList {
  /** Whether the proxy has read the whole list, and the server has not said that it changed. */
  isComplete: boolean
  get(name: string): KnownTool | undefined
  /** Adds the tools in a result of `tools/list`. */
  add(result: unknown): void
  /** Forgets all tools. */
  clear(): void
}

interface Tool {
  readonly name?: unknown
  readonly annotations?: { readonly readOnlyHint?: unknown }
  readonly inputSchema?: unknown
}

const mostTools = 10_000
const longestName = 1000

/** Makes an empty {@link ToolList}. */
export function openToolList(): ToolList {
  const tools = new Map<string, KnownTool>()
  const list: ToolList = {
    isComplete: false,
    get: (name) => tools.get(name),
    add(result) {
      for (const tool of toolsIn(result)) {
        const { name, annotations, inputSchema } = tool ?? {}
        if (typeof name !== 'string' || name.length > longestName) continue
        tools.delete(name)
        tools.set(name, {
          isReadOnly: annotations?.readOnlyHint === true,
          headerParameters: headerParameters(inputSchema),
        })
        const [oldest] = tools.keys()
        if (tools.size > mostTools && oldest !== undefined) tools.delete(oldest)
      }
    },
    clear() {
      tools.clear()
      list.isComplete = false
    },
  }
  return list
}

function toolsIn(result: unknown): readonly (Tool | null)[] {
  const { tools } = (result ?? {}) as { readonly tools?: unknown }
  return Array.isArray(tools) ? tools : []
}
