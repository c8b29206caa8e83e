// @ts-check
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KMSClient, ListKeysCommand } from '@aws-sdk/client-kms'
import { ministack } from '../support/python.js'
import { listenOnLoopback } from './loopback.js'

/**
 * @typedef {object} Credentials
 * @property {string} accessKeyId
 * @property {string} secretAccessKey
 */

/**
 * @typedef {object} MiniStackServer
 * @property {string} url
 * @property {{ endpoint: string, region: string, credentials: Credentials }} client  what a client of the SDK that
 *   reaches it as root is made with
 * @property {() => Promise<void>} close
 *
 * @typedef {MiniStackServer & AsyncDisposable} MiniStack
 */

const region = 'eu-west-1'
const patienceSeconds = 60

/**
 * Starts MiniStack, with AWS KMS, IAM and STS alone.
 *
 * @param {{ auth?: boolean }} [options]  `auth`: whether signatures and policies are enforced
 * @returns {Promise<MiniStack>}
 */
export async function startMiniStack({ auth = false } = {}) {
  const python = ministack.python()
  if (python === undefined) {
    throw new Error('MiniStack is not installed; "npm test -- --lane ministack" does that')
  }
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'countersign-ministack-'))
  const child = spawn(python, ['-m', 'ministack'], {
    cwd: folder,
    // Nothing of this process's environment: it may name an AWS account.
    env: {
      PATH: process.env['PATH'],
      SYSTEMROOT: process.env['SYSTEMROOT'],
      HOME: folder,
      TMPDIR: folder,
      STATE_DIR: folder,
      BIND_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
      MINISTACK_REGION: region,
      SERVICES: 'kms,iam,sts',
      IOT_MTLS_ENABLED: '0',
      SFTP_ENABLED: '0',
      DOCKER_HOST: 'unix:///nonexistent',
      ...(auth ? { AUTH: 'true' } : {}),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output = (output + text).slice(-4000)
    })
  }
  const end = () => void child.kill('SIGKILL')
  process.once('exit', end)
  const ended = once(child, 'close').then(() => {
    process.off('exit', end)
    rmSync(folder, { recursive: true, force: true })
  })

  async function close() {
    child.kill('SIGTERM')
    const timer = setTimeout(end, 5000)
    await ended
    clearTimeout(timer)
  }

  const client = {
    endpoint: `http://127.0.0.1:${port}`,
    region,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  }
  try {
    await answering(client, () => {
      if (child.exitCode !== null) throw new Error(`MiniStack ended: ${output}`)
    })
  } catch (error) {
    await close()
    throw error
  }
  return { url: client.endpoint, client, close, [Symbol.asyncDispose]: close }
}

/**
 * @param {MiniStackServer['client']} options
 * @param {() => void} check  throws when there is no sense in waiting on
 */
async function answering(options, check) {
  const kms = new KMSClient({ ...options, maxAttempts: 1 })
  const deadline = performance.now() + patienceSeconds * 1000
  for (;;) {
    try {
      await kms.send(new ListKeysCommand({}), { abortSignal: AbortSignal.timeout(5000) })
      kms.destroy()
      return
    } catch (error) {
      check()
      if (performance.now() > deadline) {
        throw new Error(`MiniStack did not answer within ${patienceSeconds} s`, { cause: error })
      }
      await sleep(100)
    }
  }
}

async function freePort() {
  const server = await listenOnLoopback(() => {})
  await server.close()
  return Number(new URL(server.origin).port)
}
