#!/usr/bin/env node
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { clientId, runDemo } from './demo.ts'
import { newKey, openKey } from './key.ts'
import type { DemoServers } from './servers.ts'

const usage = `Usage: countersign-demo [options]

Starts an authorization server and an MCP server on loopback, lets an MCP client call
a tool with a signature in place of a client secret, and prints each request. It needs
no network.

Options:
  -k, --key <key>  sign with this key: a key URI, or the path of a key file;
                   by default, with a key that is made for this run
  --keep           leave both servers running until Ctrl-C, and print the variables
                   for the countersign command
  -h, --help       show this help

The PIN or the passphrase of a key comes from COUNTERSIGN_PIN or COUNTERSIGN_PASSPHRASE.
`

/** Exit codes, with the same meaning as those of the `countersign` command. */
const exitCodes = { failed: 1, usage: 2, interrupted: 130 } as const

const interruption = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => interruption.abort(new Error(`interrupted by ${name}`)))
}

process.exitCode = await main(interruption.signal)

async function main(signal: AbortSignal): Promise<number> {
  let options: ReturnType<typeof parseOptions>
  try {
    options = parseOptions()
  } catch (error) {
    return fail(`${(error as Error).message}; see countersign-demo --help`, exitCodes.usage)
  }
  if (options.help) {
    process.stdout.write(usage)
    return 0
  }
  try {
    await using key = options.key ? await openKey(options.key, signal) : await newKey()
    await using servers = await runDemo({ signer: key.signer, keyOrigin: key.origin, signal })
    if (options.keep) {
      process.stdout.write(instructions(await key.export(), servers))
      if (!signal.aborted) await once(signal, 'abort')
    }
    return 0
  } catch (error) {
    return fail(
      (error as Error).message.replaceAll(/\s+/g, ' '),
      signal.aborted ? exitCodes.interrupted : exitCodes.failed,
    )
  }
}

function parseOptions() {
  const { values } = parseArgs({
    options: {
      key: { type: 'string', short: 'k' },
      keep: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  return values
}

function fail(message: string, exitCode: number): number {
  process.stderr.write(`countersign-demo: ${message}\n`)
  return exitCode
}

function instructions(key: string, { issuer, mcpUrl }: DemoServers): string {
  const variables = {
    COUNTERSIGN_KEY: key,
    COUNTERSIGN_CLIENT_ID: clientId,
    COUNTERSIGN_ISSUER: issuer,
    COUNTERSIGN_MCP_URL: mcpUrl,
  }
  const exports = Object.entries(variables).map(
    ([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'`,
  )
  return `  Both servers run until you press Ctrl-C. In another terminal:

${exports.join('\n')}

  countersign doctor    # check each step
  countersign token     # get an access token
  countersign tools     # list the tools
  countersign call "$COUNTERSIGN_MCP_URL" whoami

`
}
