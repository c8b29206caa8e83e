// @ts-check
// An MCP server of protocol version 2026-07-28, without sessions, with tools, resources and prompts that the scenarios of
// the conformance suite ask for by name.
import { toNodeHandler } from '@modelcontextprotocol/node'
import {
  acceptedContent,
  createMcpHandler,
  inputRequired,
  McpServer,
  ResourceTemplate,
} from '@modelcontextprotocol/server'
import { z } from 'zod'
import { listenOnLoopback } from '../servers/loopback.js'

const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const image = { type: /** @type {const} */ ('image'), data: png, mimeType: 'image/png' }

/** @param {string} text */
const text = (text) => ({ type: /** @type {const} */ ('text'), text })

/** @param {string} uri */
const embedded = (uri) => ({
  type: /** @type {const} */ ('resource'),
  resource: { uri, mimeType: 'text/plain', text: 'This is an embedded resource content.' },
})

/**
 * Starts the server on a free port of 127.0.0.1.
 *
 * @returns {Promise<import('../hosts/servers.js').RunningServer>}
 */
export async function startModernServer() {
  const handle = toNodeHandler({ fetch: createMcpHandler(mcpServer).fetch })
  const { origin, close } = await listenOnLoopback((request, response) => {
    void handle(
      /** @type {import('@modelcontextprotocol/node').NodeIncomingMessageLike} */ (request),
      response,
    )
  })
  return { origin, close }
}

function mcpServer() {
  const server = new McpServer({ name: 'modern', version: '1.0.0' })
  addTools(server)
  addResources(server)
  addPrompts(server)
  return server
}

/** @param {McpServer} server */
function addTools(server) {
  /** @type {Record<string, import('@modelcontextprotocol/server').CallToolResult['content']>} */
  const contents = {
    test_simple_text: [text('This is a simple text response for testing.')],
    test_image_content: [image],
    test_audio_content: [{ type: 'audio', data: 'UklGRg==', mimeType: 'audio/wav' }],
    test_embedded_resource: [embedded('test://embedded-resource')],
    test_multiple_content_types: [
      text('Multiple content types test:'),
      image,
      embedded('test://mixed-content-resource'),
    ],
  }
  for (const [name, content] of Object.entries(contents)) {
    server.registerTool(name, { description: name }, () => ({ content }))
  }
  server.registerTool('test_error_handling', { description: 'always fails' }, () => {
    throw new Error('This tool intentionally returns an error for testing')
  })
  server.registerTool(
    'test_tool_with_progress',
    { description: 'reports progress' },
    async (context) => {
      const { _meta: meta, notify } = context.mcpReq
      for (const progress of [0, 50, 100]) {
        if (meta?.progressToken === undefined) break
        const params = { progressToken: meta.progressToken, progress, total: 100 }
        await notify({ method: 'notifications/progress', params })
      }
      return { content: [text('done')] }
    },
  )
  server.registerTool(
    'test_input_required_result_elicitation',
    { description: 'asks for a name' },
    (context) => {
      const answer = acceptedContent(context.mcpReq.inputResponses, 'user_name')
      if (answer !== undefined) return { content: [text(`Hello, ${answer['name']}!`)] }
      const requestedSchema = z.object({ name: z.string() })
      const message = 'What is your name?'
      return inputRequired({
        inputRequests: { user_name: inputRequired.elicit({ message, requestedSchema }) },
      })
    },
  )
}

/** @param {McpServer} server */
function addResources(server) {
  const mimeType = 'text/plain'
  server.registerResource('static-text', 'test://static-text', { mimeType }, ({ href: uri }) => ({
    contents: [{ uri, mimeType, text: 'This is the content of the static text resource.' }],
  }))
  server.registerResource(
    'static-binary',
    'test://static-binary',
    { mimeType: 'image/png' },
    ({ href: uri }) => ({ contents: [{ uri, mimeType: 'image/png', blob: png }] }),
  )
  server.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { mimeType: 'application/json' },
    ({ href: uri }, { id }) => ({
      contents: [{ uri, mimeType: 'application/json', text: JSON.stringify({ id }) }],
    }),
  )
}

/** @param {McpServer} server */
function addPrompts(server) {
  /** @param {import('@modelcontextprotocol/server').ContentBlock[]} contents */
  const messages = (...contents) => ({
    messages: contents.map((content) => ({ role: /** @type {const} */ ('user'), content })),
  })
  server.registerPrompt('test_simple_prompt', { description: 'a prompt' }, () =>
    messages(text('This is a simple prompt for testing.')),
  )
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'a prompt', argsSchema: z.object({ arg1: z.string(), arg2: z.string() }) },
    ({ arg1, arg2 }) => messages(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  )
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'a prompt', argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri }) => messages(embedded(resourceUri), text('Please process this resource.')),
  )
  server.registerPrompt('test_prompt_with_image', { description: 'a prompt' }, () =>
    messages(image, text('Please analyze the image above.')),
  )
}
