// @ts-check
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { agentTokens } from '@countersign/agent/internal'
import { takeTurns, valueRow } from './measure.js'
import { clientId, startServers } from './servers/start.js'

const bin = fileURLToPath(new URL('../../packages/cli/dist/bin.js', import.meta.url))

/**
 * Tokens and ES256 assertions of an agent in another process, for 1 and for 64 callers of this one.
 *
 * @returns {AsyncGenerator<import('./measure.js').Row>}
 */
export async function* run() {
  const { key, issuer, mcpUrl, close } = await startServers('v2')
  const folder = mkdtempSync(join(tmpdir(), 'cs-bench-agent-'))
  const file = join(folder, 'key.pem')
  const config = join(folder, 'agent.json')
  const socket = join(folder, 'agent.sock')
  writeFileSync(file, key.pem, { mode: 0o600 })
  const bench = {
    ...{ key: pathToFileURL(file).href, clientId, issuer },
    ...{ scopes: ['tools'], resources: [mcpUrl] },
  }
  writeFileSync(config, JSON.stringify({ clients: { bench } }), { mode: 0o600 })
  const agent = spawn(process.execPath, [bin, 'agent', '--config', config, '--socket', socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    await once(agent.stdout, 'data', { signal: AbortSignal.timeout(30_000) })
    const tokens = agentTokens('bench', { socket })
    const work = {
      tokens: () => tokens.token(),
      assertions: () => tokens.assertion(),
    }
    for (const [unit, call] of Object.entries(work)) {
      for (const callers of [1, 64]) {
        const rates = await takeTurns(
          { agent: (times) => shared(times, callers, call) },
          { rounds: 15, severalProcesses: true },
        )
        const name = `agent, ${callers === 1 ? '1 caller' : `${callers} callers`}`
        yield valueRow(rates['agent'] ?? [], { name, unit: `${unit}/s` })
      }
    }
  } finally {
    agent.kill()
    close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Lets callers make a number of calls together.
 *
 * @param {number} times
 * @param {number} callers
 * @param {() => Promise<unknown>} call
 */
async function shared(times, callers, call) {
  let left = times
  const caller = async () => {
    while (left-- > 0) await call()
  }
  await Promise.all(Array.from({ length: callers }, caller))
}
