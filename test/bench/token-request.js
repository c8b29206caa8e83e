// @ts-check
import { privateKeyJwt, tokenSource } from '@countersign/oauth'
import { importPKCS8 } from 'jose'
import * as oauth from 'oauth4webapi'
import { durationRow, takeTurns } from './measure.js'
import { clientId, startServers } from './servers/start.js'

/**
 * One token request of `tokenSource`, against the same request by `oauth4webapi` alone. Both have the server's metadata
 * already, and sign a new ES256 assertion.
 *
 * @returns {AsyncGenerator<import('./measure.js').Row>}
 */
export async function* run() {
  const { key, signer, issuer, mcpUrl, close } = await startServers('v2')
  try {
    const source = tokenSource({
      issuer,
      clientId,
      authentication: privateKeyJwt(signer),
      scope: 'tools',
      resource: mcpUrl,
    })

    const insecure = { [oauth.allowInsecureRequests]: true }
    const server = new URL(issuer)
    const discovery = await oauth.discoveryRequest(server, { ...insecure, algorithm: 'oauth2' })
    const as = await oauth.processDiscoveryResponse(server, discovery)
    const client = { client_id: clientId }
    const cryptoKey = await importPKCS8(key.pem, 'ES256')
    const authentication = oauth.PrivateKeyJwt({ key: cryptoKey, kid: signer.kid })
    const wanted = { scope: 'tools', resource: mcpUrl }

    const rates = await takeTurns(
      {
        tokenSource: async (times) => {
          while (times-- > 0) source.invalidate(await source.token())
        },
        oauth4webapi: async (times) => {
          while (times-- > 0) {
            await oauth.processClientCredentialsResponse(
              as,
              client,
              await oauth.clientCredentialsGrantRequest(
                as,
                client,
                authentication,
                wanted,
                insecure,
              ),
            )
          }
        },
      },
      { rounds: 101, severalProcesses: true },
    )
    yield durationRow(rates, {
      name: 'token request, ES256 assertion',
      of: 'tokenSource',
      over: 'oauth4webapi',
    })
  } finally {
    close()
  }
}
