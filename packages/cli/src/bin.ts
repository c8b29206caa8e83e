#!/usr/bin/env node
import { main } from './main.ts'

await main()

// What was given up, such as a request that nobody waits for any more, is not waited for; what was written is.
for (const stream of [process.stdout, process.stderr]) {
  if (stream.writable) await new Promise<void>((resolve) => stream.write('', () => resolve()))
}
process.exit()
