import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../../scripts/workspace.mjs'
import { sdkReleases } from './releases.js'

const { oldest, forNewerNodes } = sdkReleases
const catalog = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8')

test.each(oldest)('the peer range of $backend begins at what is tested: $name $version', (sdk) => {
  const file = join(root, 'packages', sdk.backend, 'package.json')
  const { peerDependencies } = JSON.parse(readFileSync(file, 'utf8'))
  const further = sdk.name === forNewerNodes.oldest.name ? [forNewerNodes.oldest] : []
  const ranges = [sdk, ...further].map(({ version }) => `^${version}`)
  expect(peerDependencies[sdk.name]).toBe(ranges.join(' || '))
})

test.each(oldest)(
  '$name of the workspace is a later one of the same major',
  ({ name, version }) => {
    const [, pinned = ''] = new RegExp(`'${name}': (.+)`).exec(catalog) ?? []
    expect(pinned.split('.')[0]).toBe(version.split('.')[0])
    expect(pinned).not.toBe(version)
  },
)
