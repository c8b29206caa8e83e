// @ts-check
// The servers run in their own process, so that their work does not count as the client's.
import { startPair } from '../../servers/pair.js'

const [sdk, tokens] = process.argv.slice(2)

process.once('message', async (client) => {
  const { authorizationServer, mcpServer } = await startPair(
    /** @type {import('../../servers/authorization-server.js').ClientRegistration} */ (client),
    { sdk: sdk === 'v1' ? 'v1' : 'v2', dpop: tokens === 'dpop' },
  )
  process.send?.({ issuer: authorizationServer.issuer, mcpUrl: mcpServer.url })
})
process.on('disconnect', () => process.exit())
