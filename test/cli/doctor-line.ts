import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jwks, type Signer } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { expect, onTestFinished } from 'vitest'
import { diagnose } from '../../packages/cli/src/doctor/diagnose.ts'
import type { DiagnoseOptions, StepResult } from '../../packages/cli/src/doctor/step.ts'
import type { McpServerOptions, TestMcpServer } from '../servers/mcp-server.js'
import { startMcpServer } from '../servers/mcp-server.js'
import type { ScriptedServer } from '../servers/scripted-server.js'
import {
  type StrictOptions,
  startStrictAuthorizationServer,
} from '../servers/strict-authorization-server.js'
import { keyPair } from '../support/key-pairs.js'

export const clientId = 'billing-agent'

/** A key, an authorization server that knows it, and an MCP server that takes its tokens. */
export interface Line {
  readonly signer: Signer
  /** Path of the key, as PEM. */
  readonly keyFile: string
  readonly as: ScriptedServer
  readonly mcp: TestMcpServer
  /** What arrived at the token endpoint. */
  tokenRequests(): number
  diagnose(options?: Partial<DiagnoseOptions>): Promise<readonly StepResult[]>
}

/** What is planted into a line. */
export interface Planted {
  readonly as?: StrictOptions
  readonly mcp?: Partial<McpServerOptions>
}

/** Starts a line that is whole but for what is planted; it ends with the test. */
export async function startLine(planted: Planted = {}): Promise<Line> {
  const { privateKey } = keyPair('P-256')
  const signer = await localSigner({ key: privateKey })
  const known = { [clientId]: { keys: [...jwks(signer).keys] } }
  const as = closing(await startStrictAuthorizationServer({ clients: known, ...planted.as }))
  const scopes = { scopesSupported: ['tools'], requiredScopes: ['tools'] }
  const mcp = closing(await startMcpServer({ issuer: as.url, ...scopes, ...planted.mcp }))
  return {
    signer,
    keyFile: writeKey(String(privateKey.export({ type: 'pkcs8', format: 'pem' }))),
    as,
    mcp,
    tokenRequests: () => as.requests.filter(({ path }) => path === '/token').length,
    diagnose: (options) => examine(signer, { mcp: mcp.url, ...options }),
  }
}

/** Has everything diagnosed, with a signer that is there already unless told otherwise. */
export async function examine(
  signer: Signer,
  options: Partial<DiagnoseOptions>,
): Promise<readonly StepResult[]> {
  const open = async () => ({ signer, async [Symbol.asyncDispose]() {} })
  const defaults = { openKey: open, keyStore: 'the key store', clientId }
  const steps: StepResult[] = []
  for await (const one of diagnose({ ...defaults, ...options })) steps.push(one)
  return steps
}

/** The step that a line is broken at. All before it went well, and none behind it was reached. */
export function brokenStep(steps: readonly StepResult[]): StepResult {
  const at = steps.findIndex(({ state }) => state === 'failed')
  const broken = steps[at]
  if (broken === undefined) throw new Error(`nothing failed: ${JSON.stringify(steps, null, 2)}`)
  for (const { state } of steps.slice(0, at)) expect(['ok', 'warning']).toContain(state)
  for (const { state, found } of steps.slice(at + 1)) {
    expect({ state, found }).toEqual({ state: 'not reached', found: undefined })
  }
  expect(broken.expected).not.toBe('')
  return broken
}

/** What a step of this name found. */
export function step(steps: readonly StepResult[], name: StepResult['name']): StepResult {
  const found = steps.find((one) => one.name === name)
  if (found === undefined) throw new Error(`there is no step ${name}`)
  return found
}

/** Steps that are not as they should be. */
export const oddSteps = (steps: readonly StepResult[]): readonly StepResult[] =>
  steps.filter(({ state }) => state !== 'ok')

/** Writes a file that nobody else can read; it goes with the test. */
export function writeKey(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-doctor-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'key.pem')
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

/** Closes something when the running test is over. */
export function closing<T extends { close(): Promise<void> }>(closable: T): T {
  onTestFinished(() => closable.close())
  return closable
}
