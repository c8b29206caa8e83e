// @ts-check

/**
 * What the service answers; without a body, nothing but the status is sent.
 *
 * @typedef {object} Answer
 * @property {number} status
 * @property {object | string | undefined} body  a string is sent as a page, and not as JSON
 * @property {Record<string, string>} [headers]
 */

/**
 * An error as the REST API has it.
 *
 * @param {number} status
 * @param {string} code
 * @param {string} message
 * @param {string} [inner]
 * @returns {Answer}
 */
export function refusal(status, code, message, inner) {
  const innererror = inner === undefined ? {} : { innererror: { code: inner } }
  return { status, body: { error: { code, message, ...innererror } } }
}

/** @param {string} name */
export const notFound = (name) =>
  refusal(
    404,
    'KeyNotFound',
    `A key with (name/id) ${name} was not found in this key vault. If you recently deleted this key you may be able to recover it using the correct recovery command.`,
  )

/** @param {string} message */
export const badParameter = (message) => refusal(400, 'BadParameter', message)

/**
 * How the service refuses an operation, by what it is that does not admit it.
 *
 * @type {Record<Denial, (operation: 'get' | 'sign') => Answer>}
 * @typedef {'rbac' | 'policy' | 'firewall' | 'private-link' | 'hsm'} Denial
 */
export const denials = {
  rbac: (operation) =>
    refusal(
      403,
      'Forbidden',
      `Caller is not authorized to perform action on resource.\nAction: 'Microsoft.KeyVault/vaults/keys/${operation === 'get' ? 'read' : 'sign/action'}'\nAssignment: (not found)`,
      'ForbiddenByRbac',
    ),
  policy: (operation) =>
    refusal(
      403,
      'Forbidden',
      `The user, group or application 'appid=0000' does not have keys ${operation} permission on key vault 'agents;location=westeurope'.`,
      'ForbiddenByPolicy',
    ),
  firewall: () =>
    refusal(
      403,
      'Forbidden',
      'Client address is not authorized and caller is not a trusted service.\nClient address: 192.0.2.1',
      'ForbiddenByFirewall',
    ),
  'private-link': () =>
    refusal(
      403,
      'Forbidden',
      'Public network access is disabled and request is not from a trusted service nor via an approved private link.',
      'ForbiddenByConnection',
    ),
  hsm: (operation) =>
    refusal(
      403,
      'AccessDenied',
      `Not authorized to access Microsoft.KeyVault/managedHsm/keys/${operation === 'get' ? 'read' : 'sign'}/action on /keys (Activity ID: 0000)`,
    ),
}
