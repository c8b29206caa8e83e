// @ts-check

/** An error of AWS KMS, by its name in the response. */
export class KmsError extends Error {
  /**
   * @param {string} type  such as `NotFoundException`
   * @param {string} message
   * @param {number} [status]
   */
  constructor(type, message, status = 400) {
    super(message)
    this.type = type
    this.status = status
  }

  /** The refusal in AWS JSON 1.1, with its name in both the places where servers put it. */
  get response() {
    return {
      status: this.status,
      headers: { 'x-amzn-errortype': this.type },
      body: JSON.stringify({ __type: this.type, message: this.message }),
    }
  }
}

/** @param {string} message */
export const validation = (message) => new KmsError('ValidationException', message)

/**
 * @param {string} member
 * @param {string} constraint
 */
export const constraint = (member, constraint) =>
  validation(
    `1 validation error detected: Value at '${member}' failed to satisfy constraint: ${constraint}`,
  )
