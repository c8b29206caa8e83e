import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  CreateMessageRequestSchema,
  ElicitationCompleteNotificationSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { z } from 'zod'

/** What a client saw of each feature, by its name. */
export type Transcript = Readonly<Record<string, unknown>>

/** Arguments for the tools that need some. */
const toolArguments: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  echo: { message: 'snow: \u2603, a line\u2028separator, and "quotes"' },
  'get-annotated-message': { messageType: 'error', includeImage: true },
  'get-resource-links': { count: 3 },
  'get-resource-reference': { resourceType: 'Text', resourceId: 7 },
  'get-structured-content': { location: 'Chicago' },
  'get-sum': { a: 2, b: 40 },
  'gzip-file-as-resource': {
    name: 'hello.gz',
    data: 'data:text/plain,hello',
    outputType: 'resource',
  },
  'trigger-long-running-operation': { duration: 0.3, steps: 3 },
  'trigger-sampling-request': { prompt: 'Say hello', maxTokens: 10 },
  'trigger-url-elicitation': { url: 'https://example.com/sign-in', elicitationId: 'e-1' },
}

/** Tools that another check calls, because their results come later or by other messages. */
const elsewhere = ['toggle-simulated-logging', 'toggle-subscriber-updates']

/**
 * Uses every feature of server-everything, and returns what the client saw.
 *
 * Times, identifiers of tasks and of sessions, and the order of notifications differ between two sessions, and are
 * replaced or sorted.
 */
export async function useAllFeatures(transport: Transport): Promise<Transcript> {
  const seen: Record<string, unknown> = {}
  const capabilities = {
    sampling: {},
    elicitation: { form: {}, url: {} },
    roots: { listChanged: true },
  }
  const client = new Client({ name: 'features', version: '1.0.0' }, { capabilities })
  const received = answerRequests(client)
  await client.connect(transport)
  const progress = recordProgress(transport)
  try {
    seen['server'] = {
      version: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      instructions: client.getInstructions(),
    }
    const { tools } = await client.listTools()
    seen['tools/list'] = tools
    seen['resources/list'] = await client.listResources()
    seen['resources/templates/list'] = await client.listResourceTemplates()
    seen['prompts/list'] = await client.listPrompts()
    // The server asks for the roots a moment after the start.
    await received.once('roots/list')
    for (const { name, execution } of tools) {
      if (execution?.taskSupport === 'required' || elsewhere.includes(name)) continue
      seen[`tools/call ${name}`] = await outcome(() => callWithProgress(client, name))
    }
    seen['tools/call as a task'] = await outcome(() =>
      callAsTask(client, 'simulate-research-query'),
    )
    await useResources(client, seen, received)
    await usePrompts(client, seen)
    await useErrors(client, seen)
    await useLogging(client, seen, received)
    seen['notifications/progress'] = progress
    seen['requests of the server'] = received.requests
    return normalized(seen)
  } finally {
    await client.close()
  }
}

/** Requests and notifications that came from the server. */
interface Received {
  /** The parameters of each request, by method. */
  readonly requests: Record<string, unknown[]>
  /** Waits until a request or a notification with this method has come since the start. */
  once(method: string): Promise<void>
}

/** Answers what a server may ask a client. */
function answerRequests(client: Client): Received {
  const requests: Record<string, unknown[]> = {}
  const waiting = new Map<string, () => void>()
  const come = new Set<string>()
  const note = (method: string, params?: unknown) => {
    come.add(method)
    if (params !== undefined) requests[method] = unique([...(requests[method] ?? []), params])
    waiting.get(method)?.()
  }
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
    note('sampling/createMessage', params)
    return { model: 'none', role: 'assistant', content: { type: 'text', text: 'Hello' } }
  })
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
    note('elicitation/create', params)
    return { action: 'accept', content: { name: 'Ada', integer: 7, interpretation: 'technical' } }
  })
  client.setRequestHandler(ListRootsRequestSchema, () => {
    note('roots/list', {})
    return { roots: [{ uri: 'file:///workspace', name: 'workspace' }] }
  })
  client.setNotificationHandler(ElicitationCompleteNotificationSchema, ({ method }) => note(method))
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ method, params }) =>
    note(method, params),
  )
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ method }) => note(method))
  return {
    requests,
    once: (method) =>
      new Promise((resolve, reject) => {
        if (come.has(method)) return resolve()
        const timer = setTimeout(() => reject(new Error(`no ${method} came in 15 s`)), 15_000)
        waiting.set(method, () => {
          clearTimeout(timer)
          resolve()
        })
      }),
  }
}

/** A notification may come again after some seconds. */
const unique = (values: readonly unknown[]): unknown[] =>
  [...new Set(values.map((value) => JSON.stringify(value)))].map((text) => JSON.parse(text))

/** The result, or code and message of the error. */
async function outcome(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return await call()
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
    return { error: { code, message } }
  }
}

/** Asks for progress, which {@link recordProgress} records. */
function callWithProgress(client: Client, name: string): Promise<unknown> {
  const params = { name, arguments: toolArguments[name] ?? {} }
  return client.callTool(params, undefined, { onprogress: () => {}, timeout: 10_000 })
}

/**
 * Records the progress of all calls as it arrives. The client itself drops the last one when the result comes in the
 * same read.
 */
function recordProgress(transport: Transport): readonly unknown[] {
  const progress: unknown[] = []
  const { onmessage } = transport
  transport.onmessage = (message, extra) => {
    if ('method' in message && message.method === 'notifications/progress') {
      progress.push(message.params)
    }
    onmessage?.(message, extra)
  }
  return progress
}

/** Calls a tool that runs as a task, which asks the user for a clarification, and waits for its end. */
async function callAsTask(client: Client, name: string): Promise<unknown> {
  const args = { topic: 'python', ambiguous: true }
  const messages: unknown[] = []
  for await (const message of client.experimental.tasks.callToolStream({ name, arguments: args })) {
    messages.push(message.type)
    if (message.type === 'result')
      return { messages: [...new Set(messages)], result: message.result }
    if (message.type === 'error') throw message.error
  }
  return { messages }
}

async function useResources(
  client: Client,
  seen: Record<string, unknown>,
  received: Received,
): Promise<void> {
  const { resources } = await client.listResources()
  const dynamic = ['demo://resource/dynamic/text/3', 'demo://resource/dynamic/blob/4']
  for (const uri of [...resources.map(({ uri }) => uri), ...dynamic, 'demo://resource/none']) {
    seen[`resources/read ${uri}`] = await outcome(() => client.readResource({ uri }))
  }
  const [uri = ''] = dynamic
  seen['resources/subscribe'] = await client.subscribeResource({ uri })
  await client.callTool({ name: 'toggle-subscriber-updates' })
  await received.once('notifications/resources/updated')
  await client.callTool({ name: 'toggle-subscriber-updates' })
  seen['resources/unsubscribe'] = await client.unsubscribeResource({ uri })
}

async function usePrompts(client: Client, seen: Record<string, unknown>): Promise<void> {
  const given: Readonly<Record<string, Record<string, string>>> = {
    'args-prompt': { city: 'Chicago', state: 'Illinois' },
    'completable-prompt': { department: 'Sales', name: 'Eve' },
    'resource-prompt': { resourceType: 'Text', resourceId: '5' },
  }
  for (const { name } of (await client.listPrompts()).prompts) {
    const args = given[name] ?? {}
    seen[`prompts/get ${name}`] = await outcome(() => client.getPrompt({ name, arguments: args }))
  }
  seen['completion/complete'] = await client.complete({
    ref: { type: 'ref/prompt', name: 'completable-prompt' },
    argument: { name: 'name', value: '' },
    context: { arguments: { department: 'Sales' } },
  })
}

async function useErrors(client: Client, seen: Record<string, unknown>): Promise<void> {
  const aborted = AbortSignal.timeout(200)
  const name = 'trigger-long-running-operation'
  seen['cancelled call'] = await outcome(() =>
    client.callTool({ name, arguments: { duration: 5, steps: 50 } }, undefined, {
      signal: aborted,
    }),
  )
  seen['unknown tool'] = await outcome(() => client.callTool({ name: 'none' }))
  seen['wrong arguments'] = await outcome(() =>
    client.callTool({ name: 'get-sum', arguments: { a: 'two' } }),
  )
  seen['unknown method'] = await outcome(() =>
    client.request({ method: 'example/unknown', params: { any: [1, null] } }, z.looseObject({})),
  )
  seen['ping'] = await client.ping()
}

async function useLogging(
  client: Client,
  seen: Record<string, unknown>,
  received: Received,
): Promise<void> {
  seen['logging/setLevel'] = await client.setLoggingLevel('debug')
  await client.callTool({ name: 'toggle-simulated-logging' })
  await received.once('notifications/message')
  seen['toggle-simulated-logging'] = await client.callTool({ name: 'toggle-simulated-logging' })
}

/** Replaces what differs between two sessions. */
function normalized(seen: Record<string, unknown>): Transcript {
  const text = JSON.stringify(seen, (key, value: unknown) => {
    if (key === 'blob' && typeof value === 'string') {
      return Buffer.from(value, 'base64')
        .toString('latin1')
        .replaceAll(/\d+:\d\d:\d\d [AP]M/g, 'TIME')
    }
    return key === 'progressToken' || key === 'taskId' ? undefined : value
  })
  return JSON.parse(
    text
      .replaceAll(/\d+:\d\d:\d\d [AP]M/g, 'TIME')
      .replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, 'UUID'),
  )
}
