// @ts-check
import { randomUUID, sign } from 'node:crypto'
import { clientAssertion } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { createPrivateKeyJwtAuth } from '@modelcontextprotocol/sdk/client/auth-extensions.js'
import { createSigner } from 'fast-jwt'
import { importPKCS8, jwtVerify, SignJWT } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import { newKey } from './keys.js'
import { ratioRow, takeTurns } from './measure.js'

const clientId = 'billing-agent'
const audience = 'https://as.example.com'
const typ = 'client-authentication+jwt'

/**
 * ES256 client assertions in sequence, against the signature alone, and against the libraries that make them
 * today.
 *
 * All get the same claims, and an imported key where they accept one. They are called as their documentation says.
 * Those that leave the `jti` to the caller get a `randomUUID()`, whose random bits Node.js draws ahead for 128 calls;
 * one row compares with a `jti` that is drawn at each call, as ours is.
 *
 * @returns {AsyncGenerator<import('./measure.js').Row>}
 */
export async function* run() {
  const { privateKey, publicKey, pem } = newKey('ES256')
  const signer = await localSigner({ key: privateKey })
  const { kid } = signer

  const ours = () => clientAssertion(signer, { clientId, audience })

  const fastJwtSign = createSigner({
    key: pem,
    algorithm: 'ES256',
    kid,
    header: { alg: 'ES256', typ },
    iss: clientId,
    sub: clientId,
    aud: audience,
    expiresIn: 60_000,
  })
  const fastJwt = () => fastJwtSign({ jti: randomUUID() })
  const fastJwtFresh = () => fastJwtSign({ jti: randomUUID({ disableEntropyCache: true }) })

  const cryptoKey = await importPKCS8(pem, 'ES256')
  const jose = () =>
    new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg: 'ES256', kid, typ })
      .setIssuer(clientId)
      .setSubject(clientId)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime('60s')
      .sign(cryptoKey)

  const jsonwebtokenSign = () =>
    jsonwebtoken.sign({}, privateKey, {
      algorithm: 'ES256',
      header: { alg: 'ES256', kid, typ },
      issuer: clientId,
      subject: clientId,
      audience,
      expiresIn: 60,
      jwtid: randomUUID(),
    })

  const authenticate = createPrivateKeyJwtAuth({
    issuer: clientId,
    subject: clientId,
    privateKey: pem,
    alg: 'ES256',
    audience,
  })
  const headers = new Headers()
  const sdk = async () => {
    const params = new URLSearchParams()
    await authenticate(headers, params, audience, undefined)
    return params.get('client_assertion') ?? ''
  }

  for (const make of [ours, fastJwt, fastJwtFresh, jose, jsonwebtokenSign, sdk]) {
    const jwt = await make()
    const { payload } = await jwtVerify(jwt, publicKey, { audience, issuer: clientId })
    if (payload.sub !== clientId || payload.jti === undefined || payload.exp === undefined) {
      throw new Error(`${make.name} does not make a client assertion`)
    }
  }

  const assertion = await ours()
  const signingInput = Buffer.from(assertion.slice(0, assertion.lastIndexOf('.')))
  const input = { key: privateKey, dsaEncoding: /** @type {const} */ ('ieee-p1363') }

  const signAsync = async () => sign('sha256', signingInput, input)

  const names = {
    raw: 'crypto.sign',
    awaited: 'crypto.sign, awaited',
    ours: 'clientAssertion',
    fastJwt: 'fast-jwt',
    fastJwtFresh: 'fast-jwt, jti drawn as ours',
    jose: 'jose',
    jsonwebtoken: 'jsonwebtoken',
    sdk: 'MCP SDK v1 helper',
  }
  const rates = await takeTurns(
    {
      [names.raw]: (times) => {
        for (let time = 0; time < times; time++) sign('sha256', signingInput, input)
      },
      [names.awaited]: async (times) => {
        for (let time = 0; time < times; time++) await signAsync()
      },
      [names.ours]: async (times) => {
        for (let time = 0; time < times; time++) await ours()
      },
      [names.fastJwt]: (times) => {
        for (let time = 0; time < times; time++) fastJwt()
      },
      [names.fastJwtFresh]: (times) => {
        for (let time = 0; time < times; time++) fastJwtFresh()
      },
      [names.jose]: async (times) => {
        for (let time = 0; time < times; time++) await jose()
      },
      [names.jsonwebtoken]: (times) => {
        for (let time = 0; time < times; time++) jsonwebtokenSign()
      },
      [names.sdk]: async (times) => {
        for (let time = 0; time < times; time++) await sdk()
      },
    },
    { rounds: 61, processorTime: true },
  )

  /** @type {(over: string, target?: import('./measure.js').Target) => import('./measure.js').Row} */
  const against = (over, target) =>
    ratioRow(rates, {
      name: 'ES256 client assertion',
      unit: 'assertions/s',
      of: names.ours,
      over,
      ...(target === undefined ? {} : { target }),
    })
  yield against(names.raw, { atLeast: 0.82 })
  yield against(names.awaited)
  yield against(names.fastJwt, { atLeast: 1.1 })
  yield against(names.fastJwtFresh)
  yield against(names.jose)
  yield against(names.jsonwebtoken)
  yield against(names.sdk, { atLeast: 20 })
}
