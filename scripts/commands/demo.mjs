import { runProgram } from '../lib/program.mjs'

/** `npm run demo`: installs, builds, and runs the demonstration. */
export const main = (/** @type {string[]} */ args) => runProgram('packages/demo/dist/bin.js', args)
