// @ts-check
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import { assertionProvider, jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'

// The process that has the key. It could be written in any language.
const [, , clientId = ''] = process.argv
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signer = await localSigner({ key })
const assertionFor = assertionProvider(signer, { clientId })

/** @type {(url: URL, method: string | undefined) => Promise<string | undefined>} */
async function answer({ pathname, searchParams }, method) {
  const audience = searchParams.get('audience')
  if (pathname === '/jwks') return JSON.stringify(jwks(signer))
  if (pathname === '/assertion' && method === 'POST' && audience) return assertionFor(audience)
  return undefined
}

const server = createServer(({ url = '/', method }, response) => {
  answer(new URL(url, 'http://127.0.0.1'), method).then(
    (body) => response.writeHead(body === undefined ? 404 : 200).end(body),
    (error) => response.writeHead(500).end(error.message),
  )
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object') process.send?.(`http://127.0.0.1:${address?.port}`)
})
// Ends when the agent ends, also when it crashes.
process.once('disconnect', () => process.exit())
