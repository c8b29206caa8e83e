// @ts-check
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { table } from '../support/markdown-table.js'

const dist = new URL('../../packages/cli/dist/', import.meta.url)

/**
 * What is read of a command.
 *
 * @typedef {object} Command
 * @property {() => string} name
 * @property {{ envVar?: string, description: string, long?: string }[]} options
 * @property {{ description: string }[]} registeredArguments
 */

/**
 * The reference of the command, out of its own help and its own options.
 *
 * @returns {Promise<string>} Markdown
 */
export async function cliReference() {
  /** @type {{ createProgram: () => { commands: Command[] } }} */
  const { createProgram } = await import(new URL('index.js', dist).href)
  const commands = createProgram().commands.filter(
    (command) => !['complete', 'help'].includes(command.name()),
  )
  const sections = []
  for (const command of commands) {
    sections.push(`## countersign ${command.name()}`, help([command.name()]))
  }
  return `${[introduction, help([]), '## Environment', environment(commands), secrets, proxies, ...sections].join('\n\n')}\n`
}

const introduction = `# The command

\`countersign\` runs each step from a key to a client assertion, an access token, and a tool of an MCP server. [The package's README](../packages/cli/README.md) shows how to begin.

<!-- Made by "npm run docs" from the help of the command; changes here are overwritten. -->`

const secrets =
  'A PIN and a passphrase come from `--pin-file` and `--passphrase-file`, then from `COUNTERSIGN_PIN` and `COUNTERSIGN_PASSPHRASE`, and otherwise from a prompt on a terminal. They are never read from the command line, which other processes can see.'

const proxies =
  'Requests to authorization servers and MCP servers go through the HTTP proxy that `HTTPS_PROXY` names, or else `HTTP_PROXY`, in lower or upper case; not those to hosts that `NO_PROXY` lists, and never those to loopback.'

/** @param {readonly string[]} command */
function help(command) {
  const args = [fileURLToPath(new URL('bin.js', dist)), ...command, '--help']
  const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined }
  const output = execFileSync(process.execPath, args, { env, encoding: 'utf8', timeout: 30_000 })
  return `\`\`\`text\n${output.trim()}\n\`\`\``
}

/** @param {string} description */
const variableIn = (description) => /\(env: (\w+(?:=\w+)?)\)/.exec(description)?.[1]

/** @param {readonly Command[]} commands */
function environment(commands) {
  /** @type {Map<string, { option: string, of: Set<string> }>} */
  const variables = new Map()
  for (const command of commands) {
    const ofOptions = command.options.map(({ envVar, description, long }) => [
      envVar ?? variableIn(description),
      long,
    ])
    const ofArguments = command.registeredArguments.map(({ description }) => [
      variableIn(description),
      'the argument',
    ])
    for (const [name, option = ''] of [...ofOptions, ...ofArguments]) {
      if (name === undefined) continue
      const known = variables.get(name) ?? { option, of: new Set() }
      known.of.add(command.name())
      variables.set(name, known)
    }
  }
  return table([
    ['Variable', 'Instead of', 'Commands'],
    ...[...variables].map(([name, { option, of }]) => [
      `\`${name}\``,
      `\`${option}\``,
      of.size === commands.length - 1 ? 'all that sign' : [...of].join(', '),
    ]),
  ])
}
