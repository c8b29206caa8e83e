// @ts-check
import { text } from 'node:stream/consumers'
import { listenOnLoopback } from './loopback.js'

/**
 * @typedef {object} ScriptedRequest
 * @property {string} method
 * @property {string} path  without the query
 * @property {string} url  with the query
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} body
 * @property {URLSearchParams} form  the body read as a form; empty if it is not a form
 */

/**
 * An answer is a `Response`, or a function that does to the raw response whatever HTTP libraries
 * will not do: cut it short, or leave it open.
 *
 * @typedef {Response | ((response: import('node:http').ServerResponse) => void)} Answer
 */

/** @typedef {(request: ScriptedRequest) => Answer | Promise<Answer>} Script */

/**
 * @typedef {object} ScriptedServer
 * @property {string} url  `http://127.0.0.1:PORT`, without a slash at the end
 * @property {ScriptedRequest[]} requests
 * @property {readonly string[]} credentials  every secret that arrived: client assertions, client
 *   secrets and `Authorization` headers, in order of arrival
 * @property {() => Promise<void>} close  also ends the responses that were left open
 */

/**
 * Starts a server that responds as a script says and records all requests.
 *
 * @param {Script} script
 * @returns {Promise<ScriptedServer>}
 */
export async function startScriptedServer(script) {
  /** @type {ScriptedRequest[]} */
  const requests = []
  const server = await listenOnLoopback(async (incoming, response) => {
    const body = await text(incoming).catch(() => undefined)
    if (body === undefined) return
    const { method = '', url = '', headers } = incoming
    const isForm = headers['content-type']?.startsWith('application/x-www-form-urlencoded')
    const request = {
      method,
      path: url.replace(/\?.*$/, ''),
      url,
      headers,
      body,
      form: new URLSearchParams(isForm ? body : ''),
    }
    requests.push(request)
    const answer = await script(request)
    if (answer instanceof Response) await send(answer, response)
    else answer(response)
  })
  return {
    url: server.origin,
    requests,
    get credentials() {
      return requests.flatMap(credentialsIn)
    },
    close: server.close,
  }
}

/**
 * @param {Response} answer
 * @param {import('node:http').ServerResponse} response
 */
async function send(answer, response) {
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  response.end(Buffer.from(await answer.arrayBuffer()))
}

/** @param {ScriptedRequest} request */
function credentialsIn({ headers, form }) {
  return [form.get('client_assertion'), form.get('client_secret'), headers.authorization].filter(
    (value) => typeof value === 'string',
  )
}
