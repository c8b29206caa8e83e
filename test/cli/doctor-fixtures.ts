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

/** A key, an authorization server that knows it, and an MCP server that accepts its tokens. */
export interface DoctorFixtures {
  readonly signer: Signer
  /** Path of the key, as PEM. */
  readonly keyFile: string
  readonly as: ScriptedServer
  readonly mcp: TestMcpServer
  /** The number of requests to the token endpoint. */
  tokenRequests(): number
  diagnose(options?: Partial<DiagnoseOptions>): Promise<readonly StepResult[]>
}

/** What differs from a setup in which every step passes. */
export interface Faults {
  readonly as?: StrictOptions
  readonly mcp?: Partial<McpServerOptions>
}

/** Starts servers with which every step passes, except for the faults; they stop at the end of the test. */
export async function startDoctorFixtures(faults: Faults = {}): Promise<DoctorFixtures> {
  const { privateKey } = keyPair('P-256')
  const signer = await localSigner({ key: privateKey })
  const known = { [clientId]: { keys: [...jwks(signer).keys] } }
  const as = closing(await startStrictAuthorizationServer({ clients: known, ...faults.as }))
  const scopes = { scopesSupported: ['tools'], requiredScopes: ['tools'] }
  const mcp = closing(await startMcpServer({ issuer: as.url, ...scopes, ...faults.mcp }))
  return {
    signer,
    keyFile: writeKey(String(privateKey.export({ type: 'pkcs8', format: 'pem' }))),
    as,
    mcp,
    tokenRequests: () => as.requests.filter(({ path }) => path === '/token').length,
    diagnose: (options) => examine(signer, { mcp: mcp.url, ...options }),
  }
}

/** Runs all steps, by default with this signer as the opened key. */
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

/** Returns the step that failed. All steps before it passed, and none after it was reached. */
export function failedStep(steps: readonly StepResult[]): StepResult {
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

/** Returns the result of a step. */
export function step(steps: readonly StepResult[], name: StepResult['name']): StepResult {
  const found = steps.find((one) => one.name === name)
  if (found === undefined) throw new Error(`there is no step ${name}`)
  return found
}

/** The steps that did not pass without a warning. */
export const notOk = (steps: readonly StepResult[]): readonly StepResult[] =>
  steps.filter(({ state }) => state !== 'ok')

/** Writes a file that only its owner can read; it is deleted at the end of the test. */
export function writeKey(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-doctor-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'key.pem')
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

/** Closes a resource at the end of the running test. */
export function closing<T extends { close(): Promise<void> }>(closable: T): T {
  onTestFinished(() => closable.close())
  return closable
}
