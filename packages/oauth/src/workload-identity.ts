import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { ownOptions, requireString, sanitize } from '@countersign/core/backend'
import { OAuthError } from './errors.ts'
import { jwtBearer, type TokenProvider } from './grants.ts'
import type { Grant } from './token-source.ts'

/** Where {@link workloadIdentity} gets the platform's JWT: one of the two. */
export type WorkloadIdentityOptions =
  | {
      /** The path of a file that the platform replaces before the JWT expires, such as a Kubernetes projected token. */
      readonly file: string
      readonly token?: undefined
    }
  | {
      /** Asks the platform for a JWT; called for each token request with the metadata of the authorization server. */
      readonly token: TokenProvider
      readonly file?: undefined
    }

/**
 * The grant of a workload that its platform identifies: the platform's JWT is exchanged for an access token.
 *
 * The JWT is read again for each token request, and is not stored. It usually is the only credential: use
 * `publicClient()` as the client's authentication, or another one if the authorization server demands it.
 *
 * @param options - the file with the platform's JWT, or a function that returns it.
 * @returns a grant for `tokenSource`. It throws an {@link OAuthError} as {@link jwtBearer} does, and
 *   `ERR_OAUTH_ASSERTION` when the file cannot be read, as {@link tokenFile} does.
 * @throws `TypeError` when not exactly one of `file` and `token` is given, or it is not of its type.
 *
 * @example
 * ```ts
 * import { publicClient, tokenSource, workloadIdentity } from '@countersign/oauth'
 *
 * const source = tokenSource({
 *   issuer: 'https://as.example.com',
 *   clientId: 'billing-workload',
 *   authentication: publicClient(),
 *   grant: workloadIdentity({ file: '/var/run/secrets/tokens/as' }),
 * })
 * ```
 *
 * @see [RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)
 */
export function workloadIdentity(options: WorkloadIdentityOptions): Grant {
  const { file, token } = ownOptions(options)
  if ((file === undefined) === (token === undefined)) {
    throw new TypeError('exactly one of the options "file" and "token" must be given')
  }
  return jwtBearer(token ?? tokenFile(file ?? ''))
}

/** More octets than any JWT that fits into a request. */
const maxOctets = 64 * 1024

// Opening a pipe would block until another process writes to it. Windows has no such flag.
const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/**
 * Makes a function that reads a token from a file at each call: for {@link workloadIdentity}, `externalAssertion`, or the
 * subject's token of another grant.
 *
 * @param path - the path of the file. Symbolic links are followed, because platforms replace a token by moving a link.
 * @returns the function. It returns the text of the file in UTF-8 without white space around it, and rejects with an
 *   {@link OAuthError} `ERR_OAUTH_ASSERTION` when the file cannot be opened, is not a regular file, is empty, or has more
 *   than 64 KiB.
 * @throws `TypeError` when `path` is not a non-empty string.
 *
 * @example
 * ```ts
 * import { externalAssertion, tokenFile } from '@countersign/oauth'
 *
 * const authentication = externalAssertion(tokenFile('/var/run/secrets/svid.jwt'), {
 *   type: 'jwt-spiffe',
 * })
 * ```
 *
 * @see [Kubernetes: service account token volume projection](https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#serviceaccount-token-volume-projection)
 */
export function tokenFile(path: string): () => Promise<string> {
  requireString(path, 'path')
  const name = `The token file ${sanitize(JSON.stringify(path))}`
  return async () => {
    const file = await open(path, flags).catch((cause: NodeJS.ErrnoException) => {
      throw refused(`${name} cannot be opened (${cause.code})`)
    })
    try {
      return await readToken(file, name)
    } finally {
      await file.close()
    }
  }
}

async function readToken(file: FileHandle, name: string): Promise<string> {
  // Checked after it was opened, so that the file that is read is the one that was checked.
  const status = await file.stat()
  if (!status.isFile()) throw refused(`${name} is not a regular file`)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxOctets + 1)).catch((cause) => {
    throw refused(`${name} cannot be read (${cause.code})`)
  })
  if (bytesRead > maxOctets) throw refused(`${name} has more than ${maxOctets} octets`)
  const token = buffer.toString('utf8', 0, bytesRead).trim()
  if (token === '') throw refused(`${name} is empty`)
  return token
}

function refused(what: string): OAuthError {
  return new OAuthError(
    'ERR_OAUTH_ASSERTION',
    `${what}; nothing was sent. It must be a file with one token, which the platform writes`,
  )
}
