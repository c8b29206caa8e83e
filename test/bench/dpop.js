// @ts-check
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto'
import { clientCredentialsProvider } from '@countersign/mcp'
import { dpopSession, privateKeyJwt } from '@countersign/oauth'
import { generateKeyPair, generateProof } from 'dpop'
import { EmbeddedJWK, exportJWK, jwtVerify, SignJWT } from 'jose'
import { connectV2, repeated } from './mcp-call.js'
import { durationRow, ratioRow, takeTurns } from './measure.js'
import { clientId, startServers } from './servers/start.js'

const htu = 'https://mcp.example.com/mcp'
const accessToken = 'a'.repeat(800)

/**
 * ES256 proofs for requests to a resource, in sequence, against the libraries that make them today; and one tool call
 * with a bound token, against one with a bearer token.
 *
 * All make the claims `jti`, `htm`, `htu`, `iat` and `ath`, and hash the token for each proof.
 *
 * @returns {AsyncGenerator<import('./measure.js').Row>}
 */
export async function* run() {
  yield* proofs()
  yield* calls()
}

/** @returns {AsyncGenerator<import('./measure.js').Row>} */
async function* proofs() {
  const session = dpopSession()
  const ours = () => session.buildProof({ htm: 'POST', htu, accessToken })

  const pair = await generateKeyPair('ES256')
  const dpop = () => generateProof(pair, htu, 'POST', undefined, accessToken)

  const keyObject = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  /** @type {(key: Parameters<SignJWT['sign']>[0], jwk: import('jose').JWK) => () => Promise<string>} */
  const joseWith = (key, jwk) => () =>
    new SignJWT({
      ...{ jti: randomUUID(), htm: 'POST', htu },
      ath: createHash('sha256').update(accessToken).digest('base64url'),
    })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
      .setIssuedAt()
      .sign(key)
  const joseCryptoKey = joseWith(pair.privateKey, await exportJWK(pair.publicKey))
  const joseKeyObject = joseWith(keyObject.privateKey, await exportJWK(keyObject.publicKey))

  const contenders = {
    buildProof: ours,
    dpop,
    'jose, CryptoKey': joseCryptoKey,
    'jose, KeyObject': joseKeyObject,
  }
  for (const [name, make] of Object.entries(contenders)) {
    const { payload } = await jwtVerify(await make(), EmbeddedJWK, { typ: 'dpop+jwt' })
    const { htm, jti, iat, ath } = payload
    if (htm !== 'POST' || payload['htu'] !== htu || !jti || !iat || !ath) {
      throw new Error(`${name} does not make a proof`)
    }
  }
  const rates = await takeTurns(
    Object.fromEntries(Object.entries(contenders).map(([name, make]) => [name, repeated(make)])),
    { rounds: 61, processorTime: true },
  )
  for (const over of ['dpop', 'jose, CryptoKey', 'jose, KeyObject']) {
    yield ratioRow(rates, {
      name: 'ES256 DPoP proof',
      unit: 'proofs/s',
      of: 'buildProof',
      over,
      target: { atLeast: 1 },
    })
  }
}

/**
 * The server verifies the proof by `jose`, which is part of the call.
 *
 * @returns {AsyncGenerator<import('./measure.js').Row>}
 */
async function* calls() {
  const bearer = await startServers('v2')
  const bound = await startServers('v2', { dpop: true })
  /** @type {(servers: typeof bearer, dpop: boolean) => ReturnType<typeof connectV2>} */
  const connect = ({ issuer, signer, mcpUrl }, dpop) => {
    const authentication = privateKeyJwt(signer)
    const options = { clientId, issuer, authentication, scope: 'tools', dpop }
    return connectV2(new URL(mcpUrl), { fetch: clientCredentialsProvider(options).fetch })
  }
  const withBearer = await connect(bearer, false)
  const withProofs = await connect(bound, true)
  try {
    const rates = await takeTurns(
      { 'with DPoP': repeated(withProofs.call), 'with a bearer token': repeated(withBearer.call) },
      { rounds: 51, severalProcesses: true },
    )
    yield durationRow(rates, {
      name: 'MCP call with DPoP, SDK v2',
      of: 'with DPoP',
      over: 'with a bearer token',
    })
  } finally {
    await Promise.all([withProofs.close(), withBearer.close()])
    bearer.close()
    bound.close()
  }
}
