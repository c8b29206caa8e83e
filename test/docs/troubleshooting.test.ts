import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { expectations } from '../../packages/cli/src/doctor/step.ts'

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')

/** The members of a union of string literals in a source file. */
function membersOf(union: string, path: string): string[] {
  const [, body = ''] =
    new RegExp(`^export type ${union} =\n((?: {2}\\| .*\n)+)`, 'm').exec(read(path)) ?? []
  return [...body.matchAll(/'(\w+)'/g)].map(([, member = '']) => member)
}

const signerCodes = membersOf('SignerErrorCode', 'packages/core/src/error.ts')
const oauthCodes = membersOf('OAuthErrorCode', 'packages/oauth/src/errors.ts')

/** The other cells of the rows of the tables, by the first cell. */
const rows = new Map(
  [...read('docs/troubleshooting.md').matchAll(/^\| `(.+?)` +\|(.*)\|$/gm)].map(
    ([, name = '', rest = '']) => [name, rest.split('|').map((cell) => cell.trim())] as const,
  ),
)

describe('docs/troubleshooting.md', () => {
  test('is compared with all codes', () => {
    expect(signerCodes).toHaveLength(10)
    expect(oauthCodes).toHaveLength(14)
    expect(signerCodes).toContain('ERR_SIGNER_BACKEND')
    expect(oauthCodes).toContain('ERR_OAUTH_TIMEOUT')
  })

  test.each([...signerCodes, ...oauthCodes, ...Object.keys(expectations)])(
    'says for %s what the cause is and what to do',
    (name) => {
      expect(rows.get(name)).toEqual([expect.stringMatching(/\w+/), expect.stringMatching(/\w+/)])
    },
  )

  test('names only codes that exist', () => {
    const named = [...read('docs/troubleshooting.md').matchAll(/\bERR_\w+/g)].map(([code]) => code)
    expect(named.filter((code) => ![...signerCodes, ...oauthCodes].includes(code))).toEqual([])
  })
})
