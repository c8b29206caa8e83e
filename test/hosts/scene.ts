import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packages } from '../../scripts/workspace.mjs'
import { bin, countersign } from '../cli/command.ts'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { type Guard, startGuard } from '../servers/guard.js'
import { createSoftHsm } from '../support/softhsm.js'
import { type RunningServer, startEverything, startFastMcp } from './servers.js'
import { type Host, readSnippet, type Snippet } from './snippet.ts'

/** The client that the authorization server knows. */
export const clientId = 'host-agent'

/** Two protected servers that others wrote, a client whose key is in SoftHSM, and a folder in which npx finds the packages. */
export interface Scene extends AsyncDisposable {
  readonly folder: string
  /** A project that has the packages of this repository in its `node_modules`. */
  readonly project: string
  /** URI of the key. */
  readonly key: string
  readonly issuer: string
  readonly env: Readonly<Record<string, string>>
  readonly everything: Protected
  readonly fastMcp: Protected
  /** Options of the command that name key, client and authorization server. */
  readonly options: readonly string[]
  readonly tokenRequests: () => number
  snippet(host: Host, url: string): Promise<Snippet>
}

/** A server, behind its guard and without it. */
export interface Protected {
  readonly guard: Guard
  readonly directUrl: string
}

/** Starts everything that the tests need. */
export async function startScene(): Promise<Scene> {
  const closers: (() => unknown)[] = []
  const close = async () => {
    for (const one of closers.splice(0).reverse()) await one()
  }
  try {
    return { ...(await start((one) => closers.push(one))), [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Starts the parts of a scene, and registers for each one how it is closed. */
async function start(
  onClose: (close: () => unknown) => void,
): Promise<Omit<Scene, typeof Symbol.asyncDispose>> {
  const hsm = createSoftHsm()
  onClose(hsm.remove)
  const { key, env } = await keyOnToken(hsm)
  const authorizationServer = await startAuthorizationServer({
    clients: [
      {
        client_id: clientId,
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: JSON.parse(await succeed(['jwks', key], env)),
      },
    ],
  })
  onClose(authorizationServer.close)

  async function protect(server: RunningServer): Promise<Protected> {
    onClose(server.close)
    const guard = await startGuard({ target: server.origin, authorizationServer })
    onClose(guard.close)
    return { guard, directUrl: `${server.origin}/mcp` }
  }
  const everything = await protect(await startEverything())
  const fastMcp = await protect(await startFastMcp())
  const folder = mkdtempSync(join(tmpdir(), 'countersign-hosts-'))
  onClose(() => rmSync(folder, { recursive: true, force: true }))
  const { issuer } = authorizationServer
  const options = ['--key', key, '--client-id', clientId, '--issuer', issuer]
  return {
    ...{ folder, key, issuer, env, everything, fastMcp, options },
    project: projectIn(folder),
    tokenRequests: () => authorizationServer.tokenRequests.length,
    async snippet(host, url) {
      return readSnippet(host, await succeed(['proxy', url, '--config', host, ...options], env))
    },
  }
}

/** Makes a token with a key and a file with its PIN; returns the URI of the key, and the environment that it needs. */
async function keyOnToken(hsm: ReturnType<typeof createSoftHsm>) {
  const token = await hsm.createToken('hosts')
  await token.generateKey({ label: 'client', id: '01', type: 'EC:prime256v1' })
  const pinFile = join(hsm.folder, 'pin')
  writeFileSync(pinFile, token.pin, { mode: 0o600 })
  const path = `token=${token.label};object=client`
  const key = `pkcs11:${path}?module-path=${hsm.module}&pin-source=file:${pinFile}`
  return { key, env: { ...hsm.env, HOME: hsm.folder } }
}

async function succeed(args: readonly string[], env: Readonly<Record<string, string>>) {
  const { code, stdout, said } = await countersign(args, { env })
  if (code !== 0) throw new Error(`countersign ${args[0]} ended with ${code}: ${said}`)
  return stdout
}

/** Makes a project with links to the packages, as npm would install them. */
function projectIn(folder: string): string {
  const project = join(folder, 'project')
  const modules = join(project, 'node_modules')
  mkdirSync(join(modules, '.bin'), { recursive: true })
  mkdirSync(join(modules, '@countersign'))
  writeFileSync(join(project, 'package.json'), '{ "private": true }')
  for (const { path, manifest } of packages()) {
    symlinkSync(path, join(modules, manifest.name), 'dir')
  }
  const command = join(modules, '.bin/countersign')
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${bin}' "$@"\n`)
  chmodSync(command, 0o755)
  return project
}
