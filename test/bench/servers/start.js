// @ts-check
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { newKey } from '../keys.js'

export const clientId = 'billing-agent'

/**
 * Starts an authorization server and an MCP server in another process, with one client that has an ES256 key.
 *
 * @param {'v1' | 'v2'} sdk what the MCP server is made with
 * @param {{ dpop?: boolean }} [options] whether the MCP server accepts only tokens that are bound to a key
 */
export async function startServers(sdk, { dpop = false } = {}) {
  const key = newKey('ES256')
  const signer = await localSigner({ key: key.privateKey })
  const service = fork(fileURLToPath(new URL('./service.js', import.meta.url)), [
    sdk,
    dpop ? 'dpop' : 'bearer',
  ])
  service.send({
    client_id: clientId,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: jwks(signer),
  })
  const [message] = await once(service, 'message')
  const { issuer, mcpUrl } = /** @type {{ issuer: string, mcpUrl: string }} */ (message)
  return { key, signer, issuer, mcpUrl, close: () => service.disconnect() }
}
