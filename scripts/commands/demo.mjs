import { runProgram } from '../lib/program.mjs'

/** `npm run demo`: installs, builds, and runs the demonstration. */
export const main = (/** @type {string[]} */ args) =>
  runProgram('packages/cli/dist/bin.js', ['demo', ...args])
