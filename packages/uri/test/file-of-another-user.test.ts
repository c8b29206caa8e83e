import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const isRoot = process.getuid?.() === 0
const nobody = { uid: 65_534, gid: 65_534 }

it('a file of another user is refused because this process may not read it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-uri-'))
  try {
    chmodSync(folder, 0o755)
    const path = join(folder, 'key.pem')
    writeFileSync(path, 'secret', { mode: isRoot ? 0o600 : 0o000 })
    // The built package, because the other user runs Node.js without the transformer of the tests.
    const packageUrl = new URL('../dist/index.js', import.meta.url).href
    const program = `import { signerFromUri } from ${JSON.stringify(packageUrl)}
      await signerFromUri(${JSON.stringify(pathToFileURL(path).href)})
        .catch(({ code, message }) => console.log(code, message))`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', program],
      { ...(isRoot ? nobody : {}), timeout: 20_000 },
    )
    expect(stdout).toMatch(
      /^ERR_SIGNER_ACCESS_DENIED The key file ".*" may not be read by this process/,
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
