import { parse as parseToml } from 'smol-toml'

/** The hosts that `--config` knows. */
export const hosts = ['claude', 'claude-code', 'vscode', 'cursor', 'codex', 'gemini'] as const
export type Host = (typeof hosts)[number]

/** The server of a host's configuration: a program that speaks MCP on its standard input and output. */
export interface Entry {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** The configuration that `countersign proxy --config` prints. */
export interface Snippet {
  readonly text: string
  readonly name: string
  readonly entry: Entry
}

/** Reads a snippet as its host does. */
export function readSnippet(host: Host, text: string): Snippet {
  const file = (host === 'codex' ? parseToml(text) : JSON.parse(text)) as Record<
    string,
    Record<string, Entry>
  >
  const member = { codex: 'mcp_servers', vscode: 'servers' }[host as string] ?? 'mcpServers'
  const servers = Object.entries(file[member] ?? {})
  const [[name, entry] = [], ...others] = servers
  if (name === undefined || entry === undefined || others.length > 0) {
    throw new Error(`${host}: not one server in ${text}`)
  }
  return { text, name, entry }
}
