#!/usr/bin/env node
import { main } from './main.ts'

await main()

// Waits for the output, but not for abandoned work, such as a request that was given up at a timeout.
for (const stream of [process.stdout, process.stderr]) {
  if (stream.writable) await new Promise<void>((resolve) => stream.write('', () => resolve()))
}
process.exit()
