import { addAbortSignal } from 'node:stream'
import type { DpopSession } from '@countersign/oauth'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type AgentOption, addAgentOption, agentClient } from './agent-client.ts'
import { addClientOptions, required, requireUrl } from './client-options.ts'
import { type Context, defineCommand, runs } from './command.ts'
import { addDpopOptions, openDpop, requireNoDpop, wantsDpop } from './dpop-options.ts'
import { UsageError } from './errors.ts'
import { addKeyOptions } from './key-options.ts'
import { jsonText } from './output.ts'
import { requestToken, resourceOption, type TokenOptions } from './token.ts'

/** Options of `countersign headers`. */
interface HeadersOptions extends TokenOptions, AgentOption {
  readonly format: 'json' | 'bazel'
  readonly method: string
  readonly dpopNonce?: string
}

/** Less than the 10 seconds that Claude Code waits for its helper. */
const timeoutSeconds = 8

/** `countersign headers URL` */
export function headersCommand(): Command {
  const command = defineCommand('headers', {
    summary: 'print the headers that authorize requests to a URL',
    description:
      'Gets an access token for a resource, and prints the headers of a request as one JSON object, for programs that run a helper to get them: headersHelper of Claude Code, and with --format bazel the credential helper of Bazel. The resource says which authorization server and scope it needs, as for countersign token --mcp; with --issuer and --resource, it is not asked. A URL that is not within the resource gets no token. With --dpop or --dpop-key, it also prints the proof, which is valid once, for about a minute, and for a request to this URL with the method of --method: run the command again for the next request. --timeout bounds the whole command.',
    examples: [
      [
        'countersign headers https://mcp.example.com/mcp --key /etc/agent/key.pem --client-id billing-agent',
        'For one URL',
      ],
      [
        'countersign headers --key /etc/agent/key.pem --client-id billing-agent',
        'As headersHelper of Claude Code, which names the URL in CLAUDE_CODE_MCP_SERVER_URL',
      ],
      [
        'countersign headers https://mcp.example.com/mcp --agent billing',
        'With the token that a running agent shares, which is fastest',
      ],
      [
        'countersign headers https://mcp.example.com/mcp --key /etc/agent/key.pem --client-id billing-agent --dpop --method POST',
        'With a token that is bound to a key, and the proof for one request',
      ],
      [
        'countersign headers --format bazel --key /etc/agent/key.pem --client-id builder --issuer https://as.example.com --resource https://cache.example.com get < request.json',
        'For Bazel, which writes the URL to standard input',
      ],
    ],
  }).argument(
    '[url]',
    'URL of the request, by default that of CLAUDE_CODE_MCP_SERVER_URL (env: COUNTERSIGN_MCP_URL); with --format bazel, the word get',
  )
  const keyOptions = addKeyOptions(command, { defaultTimeoutSeconds: timeoutSeconds })
  return addAgentOption(addDpopOptions(addClientOptions(keyOptions)))
    .addOption(resourceOption())
    .addOption(
      new Option('--format <name>', 'whose format to print')
        .choices(['json', 'bazel'])
        .default('json'),
    )
    .addOption(
      new Option('--method <name>', 'method of the request that the DPoP proof is for')
        .default('POST')
        .argParser(httpMethod),
    )
    .addOption(
      new Option(
        '--dpop-nonce <value>',
        'nonce for the proof: the DPoP-Nonce of the last response, after error="use_dpop_nonce"',
      ),
    )
    .action(runs<[string | undefined], HeadersOptions>(printHeaders))
}

/** An HTTP method, RFC 9110 §9.1. */
function httpMethod(value: string): string {
  if (/^[!#$%&'*+.^_`|~\w-]{1,64}$/.test(value)) return value
  throw new InvalidArgumentError('It must be an HTTP method, such as GET.')
}

async function printHeaders(
  context: Context,
  [argument]: readonly [string | undefined],
  options: HeadersOptions,
): Promise<undefined> {
  const { Deadline } = await import('@countersign/core/backend')
  const tooLate = () => new DOMException('There was no answer in time', 'TimeoutError')
  const deadline = new Deadline(options.timeout, context.signal, tooLate)
  const { authorization, proof, expiresIn } = await deadline.settle(
    authorize({ ...context, signal: deadline.signal }, argument, options),
  )
  const headers =
    options.format === 'bazel'
      ? { headers: { Authorization: [authorization] }, ...expiryOf(expiresIn) }
      : { Authorization: authorization, ...(proof === undefined ? {} : { DPoP: proof }) }
  process.stdout.write(`${jsonText(headers)}\n`)
}

/** The value of the header `Authorization`, how long it is valid, and the proof of a bound token. */
interface Authorization {
  readonly authorization: string
  readonly proof?: string
  readonly expiresIn: number | undefined
}

async function authorize(
  context: Context,
  argument: string | undefined,
  options: HeadersOptions,
): Promise<Authorization> {
  const { agent, format, issuer, resource, scope, timeout } = options
  const { signal } = context
  if (wantsDpop(options)) requireOneRequest(format)
  const given = format === 'bazel' ? await bazelUrl(argument, signal) : givenUrl(argument)
  const url = await requireUrl(given, 'URL of the request')
  if (agent !== undefined) {
    requireNoDpop(options)
    const client = await agentClient(context, agent, timeout)
    const { method, dpopNonce: nonce } = options
    const { headers, expires_in: expiresIn } = await context.progress('Waiting for the agent', () =>
      client.headers(url, { scope: scope || undefined, method, nonce, signal }),
    )
    const { Authorization: authorization = '', DPoP: proof } = headers
    if (proof !== undefined) requireOneRequest(format)
    return { authorization, expiresIn, ...(proof === undefined ? {} : { proof }) }
  }
  if (options.dpopNonce !== undefined && !wantsDpop(options)) {
    throw new UsageError(
      '--dpop-nonce needs --dpop or --dpop-key; give one of them, or leave it out',
    )
  }
  if (resource) await requireWithin(url, await requireUrl(resource, 'resource of --resource'))
  const mcp = issuer && resource ? undefined : url.href
  await using dpop = await openDpop(context, options)
  if (dpop !== undefined) observeNonce(dpop.session, options.dpopNonce, url)
  const own = { ...options, mcp }
  const requested = await requestToken(context, undefined, own, dpop?.session)
  const { response, resource: target } = requested
  if (target !== undefined) await requireWithin(url, new URL(target))
  const { access_token: accessToken, expires_in: expiresIn } = response
  if (dpop === undefined) return { authorization: `Bearer ${accessToken}`, expiresIn }
  const request = { htm: options.method, htu: url, accessToken, signal }
  const proof = await dpop.session.buildProof(request)
  return { authorization: `DPoP ${accessToken}`, proof, expiresIn }
}

/** Refuses a proof for programs that send the printed headers more than once. */
function requireOneRequest(format: HeadersOptions['format']): void {
  const isClaudeCode = Boolean(process.env['CLAUDE_CODE_MCP_SERVER_URL'])
  if (format === 'json' && !isClaudeCode) return
  const host = format === 'bazel' ? 'Bazel' : 'Claude Code'
  throw new UsageError(
    `${host} sends the headers of its helper with many requests, and a DPoP proof is valid for one; leave --dpop and --dpop-key out, or let countersign proxy make the proofs for an MCP client`,
  )
}

/** Stores the nonce of `--dpop-nonce`, as if the resource had sent it in its last response. */
function observeNonce(session: DpopSession, nonce: string | undefined, url: URL): void {
  if (nonce === undefined) return
  try {
    if (session.observeNonce(new Response(null, { headers: { 'dpop-nonce': nonce } }), url)) return
  } catch {
    // It has characters that no header can have.
  }
  throw new UsageError(
    'The value of --dpop-nonce is not a nonce; give the value of the header DPoP-Nonce unchanged',
  )
}

/** Refuses a URL that must not get the token of a resource. */
async function requireWithin(url: URL, resource: URL): Promise<void> {
  const { isWithin } = await import('@countersign/oauth/internal')
  if (isWithin(url, resource)) return
  throw new UsageError(
    `The URL is not within the resource ${resource.origin}${resource.pathname}, and the token may go nowhere else; give the URL of the resource, or name its resource with --resource`,
  )
}

function givenUrl(argument: string | undefined): string {
  const {
    CLAUDE_CODE_MCP_SERVER_URL: claudeCode,
    COUNTERSIGN_MCP_URL: own,
  }: Readonly<Record<string, string | undefined>> = process.env
  return required(argument || claudeCode || own, 'URL of the request', 'COUNTERSIGN_MCP_URL')
}

const longestRequest = 65_536

/** Reads the request of Bazel: `{"uri": "https://…"}` on standard input, with `get` as the argument. */
async function bazelUrl(argument: string | undefined, signal: AbortSignal): Promise<string> {
  if (argument !== undefined && argument !== 'get') {
    throw new UsageError(
      'A credential helper of Bazel has one command, get; the URL comes by standard input',
    )
  }
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const chunk of addAbortSignal(signal, process.stdin)) {
    text += chunk
    if (text.length > longestRequest) break
  }
  const uri = uriOf(text.slice(0, longestRequest))
  if (uri !== undefined) return uri
  throw new UsageError(
    'Standard input is not a request for a credential helper; with --format bazel it must be a JSON object such as {"uri": "https://cache.example.com/file"}',
  )
}

function uriOf(text: string): string | undefined {
  try {
    const { uri } = JSON.parse(text) as { readonly uri?: unknown }
    return typeof uri === 'string' ? uri : undefined
  } catch {
    return undefined
  }
}

/** The time at which Bazel asks again, in the format of RFC 3339. */
const expiryOf = (seconds: number | undefined): { readonly expires?: string } =>
  seconds === undefined ? {} : { expires: new Date(Date.now() + seconds * 1000).toISOString() }
