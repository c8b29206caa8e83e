import { deepEqual, match } from 'node:assert/strict'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'vitest'
import { withTarballs } from '../../scripts/pack.mjs'
import { npm, output } from '../support/run.js'

const bundlers = ['esbuild@0.28.2', 'webpack@5.113.0']

const app = `
import { clientAssertion } from '@countersign/core'
import { signerFromUri } from '@countersign/uri'

async function main() {
  for (const uri of process.argv.slice(2)) {
    try {
      const signer = await signerFromUri(uri)
      await clientAssertion(signer, { clientId: 'c', audience: 'https://as.example.com' })
      await signer.close()
      console.log(signer.alg)
    } catch (error) {
      console.log(error.code, error.message)
    }
  }
}

main()
`.trimStart()

/** Bundles app.mjs with every bundler and format, and prints their warnings and errors as JSON. */
const build = `
import { join } from 'node:path'
import esbuild from 'esbuild'
import webpack from 'webpack'

const entry = join(import.meta.dirname, 'app.mjs')
const out = (name) => join(import.meta.dirname, 'out', name)
const problems = []
for (const [name, options] of Object.entries({
  'esbuild.mjs': { format: 'esm' },
  'esbuild.cjs': { format: 'cjs' },
  'esbuild-external.mjs': { format: 'esm', external: ['@countersign/local'] },
})) {
  const settings = { entryPoints: [entry], outfile: out(name), bundle: true, platform: 'node' }
  const { errors, warnings } = await esbuild.build({ ...settings, ...options, logLevel: 'silent' })
  problems.push(...errors, ...warnings)
}
for (const [folder, filename, module] of [
  ['webpack-module', 'webpack.mjs', true],
  ['webpack-commonjs', 'webpack.cjs', false],
]) {
  const output = { path: out(folder), filename, module }
  const experiments = { outputModule: module }
  const configuration = { mode: 'production', target: 'node20', entry, output, experiments }
  const stats = await new Promise((resolve, reject) =>
    webpack(configuration, (error, stats) => (error ? reject(error) : resolve(stats))),
  )
  problems.push(...stats.toJson({ all: false, errors: true }).errors)
}
console.log(JSON.stringify(problems.map(({ text, message }) => text ?? message)))
`.trimStart()

/**
 * Bundles a program that opens keys by their URIs, in a project that has only the local backend, and runs the bundles
 * in a folder where nothing is installed.
 *
 * @param {readonly import('../../scripts/pack.mjs').Packed[]} packed
 * @param {{ folder: string, key: string }} places  `key`: path of an EC P-256 key
 */
export function checkBundles(packed, { folder, key }) {
  const project = join(folder, 'bundled')
  const elsewhere = join(folder, 'bundles')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  writeFileSync(join(project, 'app.mjs'), app)
  writeFileSync(join(project, 'build.mjs'), build)

  test('esbuild and webpack bundle signerFromUri with only the local backend', async () => {
    const ours = ['@countersign/core', '@countersign/uri', '@countersign/local']
    const args = ['install', '--no-audit', '--no-fund', ...withTarballs(ours, packed)]
    await npm([...args, ...bundlers], { cwd: project })
    const said = await output(process.execPath, ['build.mjs'], { cwd: project })
    deepEqual(JSON.parse(said), [])
    cpSync(join(project, 'out'), elsewhere, { recursive: true })
  })
  const bundles = [
    [elsewhere, 'esbuild.mjs'],
    [elsewhere, 'esbuild.cjs'],
    [elsewhere, 'webpack-module/webpack.mjs'],
    [elsewhere, 'webpack-commonjs/webpack.cjs'],
    // Packages that are not in a bundle must be installed.
    [join(project, 'out'), 'esbuild-external.mjs'],
    [project, 'app.mjs'],
  ]
  for (const [place = '', file = ''] of bundles) {
    test(`${file} opens a key in a file, and says what to install for another`, async () => {
      const uris = [pathToFileURL(key).href, 'awskms:///alias/agent']
      const said = await output(process.execPath, [file, ...uris], { cwd: place })
      match(
        said,
        /^ES256\nERR_SIGNER_CONFIG .*"npm install @countersign\/aws-kms @aws-sdk\/client-kms"\n$/,
      )
    })
  }
}
