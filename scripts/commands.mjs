import { join } from 'node:path'
import { packAll, release, withTarballs } from './pack.mjs'
import { prepared, runSync } from './prepare.mjs'
import { cache, root } from './workspace.mjs'

/**
 * Runs a program of the repository in the foreground.
 *
 * @param {string} file
 * @param {readonly string[]} args
 * @param {string} [cwd]
 */
const node = (file, args, cwd = root) =>
  runSync([process.execPath, join(root, file), ...args], { cwd, env: prepared }).code

/** Loads vitest on demand, because the other commands do not need it. */
const test = async (/** @type {string[]} */ args) => (await import('./test.mjs')).test(args)

/** The commands of `npm run NAME -- ARGS`, which run after everything is installed and built. Each returns an exit code. */
export const commands = {
  build: () => 0,
  test,
  check: () => test(['--lane', 'check']),
  demo: (/** @type {string[]} */ args) => node('packages/demo/dist/bin.js', args),
  mutation: (/** @type {string[]} */ args) => node('test/mutation/run.mjs', args),
  bench: (/** @type {string[]} */ args) => node('test/bench/run.mjs', args),
  /** Runs in the folder of the caller, because the arguments name files there. */
  countersign: (/** @type {string[]} */ args) =>
    node('packages/cli/dist/bin.js', args, process.env['INIT_CWD'] ?? process.cwd()),
  /** Writes the pages that are generated from the code. */
  docs: () =>
    node('node_modules/vitest/vitest.mjs', [
      ...['run', '--update', '--project', 'unit'],
      ...['test/cli/reference.test.ts', 'test/faults/fault-matrix.test.ts'],
    ]),
  /** Simulates the fleets of docs/fleets.md, which takes about half an hour, and writes its tables and its plot. */
  fleets: () => node('test/bench/fleets/write.mjs', []),
  /** Prints the measurements that docs/architecture.md shows. */
  architecture: (/** @type {string[]} */ args) => node('scripts/architecture.mjs', args),
  /** Packs the packages, and prints the `npm install` line with tarballs for their names. */
  pack: async (/** @type {string[]} */ args) => {
    const packed = packAll(join(cache, 'tarballs'))
    console.log(
      `npm install ${withTarballs(args.length ? args : ['countersign'], packed).join(' ')}`,
    )
    return 0
  },
  release: (/** @type {string[]} */ args) => {
    release(join(cache, 'release'), args)
    return 0
  },
}
