import { runProgram } from '../lib/program.mjs'

/** `npm run bench`: installs, builds, and prints the benchmark's table. */
export const main = (/** @type {string[]} */ args) => runProgram('test/bench/run.mjs', args)
