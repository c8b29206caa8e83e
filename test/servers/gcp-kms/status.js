// @ts-check
import { status } from '@grpc/grpc-js'

/** An error of the service, over gRPC or REST. */
export class StatusError extends Error {
  /**
   * @param {number} code  of gRPC
   * @param {string} message
   */
  constructor(code, message) {
    super(message)
    this.code = code
    this.details = message
  }
}

/** A status of HTTP that comes with no body, over REST; over gRPC there is no such thing. */
export class BareStatus extends Error {
  /** @param {number} httpStatus */
  constructor(httpStatus) {
    super(`HTTP status ${httpStatus}`)
    this.httpStatus = httpStatus
  }
}

/** @param {string} message */
export const invalidArgument = (message) => new StatusError(status.INVALID_ARGUMENT, message)

/** @param {string} message */
export const failedPrecondition = (message) => new StatusError(status.FAILED_PRECONDITION, message)

/** @param {string} message */
export const notFound = (message) => new StatusError(status.NOT_FOUND, message)

/** The HTTP status of each gRPC code, google.rpc.Code. */
const httpCodes = new Map([
  [status.CANCELLED, 499],
  [status.UNKNOWN, 500],
  [status.INVALID_ARGUMENT, 400],
  [status.DEADLINE_EXCEEDED, 504],
  [status.NOT_FOUND, 404],
  [status.ALREADY_EXISTS, 409],
  [status.PERMISSION_DENIED, 403],
  [status.RESOURCE_EXHAUSTED, 429],
  [status.FAILED_PRECONDITION, 400],
  [status.ABORTED, 409],
  [status.OUT_OF_RANGE, 400],
  [status.UNIMPLEMENTED, 501],
  [status.INTERNAL, 500],
  [status.UNAVAILABLE, 503],
  [status.UNAUTHENTICATED, 401],
])

/** @param {StatusError} error */
export function httpError({ code, message }) {
  const httpCode = httpCodes.get(code) ?? 500
  return { httpCode, body: { error: { code: httpCode, message, status: status[code] } } }
}
