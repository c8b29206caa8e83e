import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { PAIR_SCOPE, type Pair, startPair } from '../servers/pair.js'

/** The client that the servers of a fixtures know. */
export const clientId = 'billing-agent'

/** A key in a file, and servers that know its public half. */
export interface Fixtures extends AsyncDisposable {
  readonly folder: string
  /** Path of the private key. */
  readonly key: string
  readonly kid: string
  readonly servers: Pair
  /** The environment that saves all options. */
  readonly env: Readonly<Record<string, string>>
  /** The options that say as much. */
  readonly options: readonly string[]
}

/** Makes a key, and starts an authorization server and an MCP server that take its signatures. */
export async function startFixtures(): Promise<Fixtures> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-cli-'))
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = join(folder, 'key.pem')
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const signer = await localSigner({ key: privateKey })
  const servers = await startPair({
    client_id: clientId,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: jwks(signer),
  })
  const { issuer } = servers.authorizationServer
  return {
    folder,
    key,
    kid: signer.kid,
    servers,
    env: {
      COUNTERSIGN_KEY: key,
      COUNTERSIGN_ISSUER: issuer,
      COUNTERSIGN_CLIENT_ID: clientId,
      COUNTERSIGN_SCOPE: PAIR_SCOPE,
    },
    options: ['--key', key, '--client-id', clientId, '--issuer', issuer],
    async [Symbol.asyncDispose]() {
      await servers.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
