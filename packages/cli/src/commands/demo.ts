import type { Command } from 'commander'
import { defineCommand, runs } from '../frame.ts'
import { addKeyOptions, type KeyOptions } from '../key-option.ts'

/** `countersign demo` */
export function demoCommand(): Command {
  const command = defineCommand('demo', {
    summary: 'show the whole line on this machine',
    description:
      'Starts an authorization server and an MCP server on loopback, lets an MCP client call a tool by a signature, and tells what goes over the wire. It needs no network and leaves nothing behind. The key is made for the run, or yours.',
    examples: [
      ['countersign demo', 'With a new key'],
      ["countersign demo --key 'awskms:///alias/agent?region=eu-west-1'", 'With a key of yours'],
    ],
  })
  return addKeyOptions(command).action(
    runs<[], KeyOptions>(async (frame, _args, options) => {
      const { demo } = await import('../demo.ts')
      return demo(frame, options)
    }),
  )
}
