import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Program } from './programs.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Below `test`, so that an example may import what test/package.json names. */
const workspace = join(root, 'test/.cache')

/** Every public entry point of our packages, with the source it is built from. */
function entryPoints(): Record<string, string[]> {
  const paths: Record<string, string[]> = {}
  for (const folder of readdirSync(join(root, 'packages'))) {
    const manifest: { name: string; exports?: Record<string, { types?: string } | string> } =
      JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8'))
    for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
      if (typeof target === 'string' || target.types === undefined) continue
      const source = target.types.replace('./dist/', './src/').replace(/\.d\.ts$/, '.ts')
      paths[manifest.name + subpath.slice(1)] = [join(root, 'packages', folder, source)]
    }
  }
  return paths
}

const configuration = {
  extends: join(root, 'tsconfig.base.json'),
  compilerOptions: {
    noEmit: true,
    composite: false,
    declaration: false,
    declarationMap: false,
    sourceMap: false,
    isolatedDeclarations: false,
    rewriteRelativeImportExtensions: false,
    allowImportingTsExtensions: true,
    allowJs: true,
    checkJs: true,
    skipLibCheck: true,
    // Examples may leave names unused, and read the environment as programs usually do.
    noUnusedLocals: false,
    noUnusedParameters: false,
    noPropertyAccessFromIndexSignature: false,
  },
  include: ['*'],
}

/**
 * Compiles programs with the workspace's TypeScript and returns the errors per program, each as
 * `file:line: message` with the line of the documentation.
 *
 * @param name of the folder the programs are written to; one per caller
 */
export async function typeCheck(
  name: string,
  programs: readonly Program[],
): Promise<ReadonlyMap<Program, string[]>> {
  const folder = join(workspace, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const compilerOptions = { ...configuration.compilerOptions, paths: entryPoints() }
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ ...configuration, compilerOptions }, undefined, 2),
  )
  const written = new Map<string, Program>()
  for (const program of programs) {
    const file = `${program.file.replaceAll('/', '__')}.${program.line}.${program.extension}`
    written.set(file, program)
    writeFileSync(join(folder, file), program.source)
  }
  const errors = new Map<Program, string[]>(programs.map((program) => [program, []]))
  const output = await tsc(folder)
  for (const line of output.split('\n')) {
    const found = /^(.+?)\((\d+),\d+\): (error .+)$/.exec(line)
    if (found === null) {
      // This line continues the message above, or concerns the whole compilation.
      if (/^error /.test(line)) throw new Error(line)
      continue
    }
    const [, path = '', row = '', message = ''] = found
    const program = written.get(basename(path))
    if (program === undefined) throw new Error(`${relative(root, path)}:${row}: ${message}`)
    errors.get(program)?.push(`${program.file}:${row}: ${message}`)
  }
  return errors
}

function tsc(folder: string): Promise<string> {
  const cli = join(root, 'node_modules/typescript/bin/tsc')
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [cli, '-p', folder, '--pretty', 'false'],
      { cwd: folder, maxBuffer: 1 << 26 },
      (error, stdout, stderr) => {
        // The compiler reports errors with exit code 1 or 2, on standard output.
        if (error !== null && stdout === '') reject(new Error(stderr, { cause: error }))
        else resolve(stdout)
      },
    )
  })
}
