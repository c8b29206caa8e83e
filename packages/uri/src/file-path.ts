import { posix, win32 } from 'node:path'
import { fileURLToPath } from 'node:url'
import { refused } from './error.ts'
import { badEscape, decodeText, encodeText, hasControls, refuseCredentials } from './syntax.ts'

const onWindows = process.platform === 'win32'

/**
 * Reads what follows `file:` as a path of this operating system, RFC 8089.
 *
 * @param what - what has the path, at the start of a sentence: `The key URI`.
 */
export function readFilePath(uriPath: string, what: string, windows: boolean = onWindows): string {
  const path = withoutHost(uriPath, what)
  // fileURLToPath would accept more, such as a backslash for a "/".
  if (/[^\w\-.~:/[\]@!$&'()*+,;=%]/.test(path)) {
    throw refused(
      `${what} has a character in its path that must be percent-encoded; write a space as %20`,
    )
  }
  for (const segment of path.slice(1).split('/')) {
    const name = decodeText(segment)
    if (name === undefined) {
      throw badEscape(`The path of ${what.charAt(0).toLowerCase()}${what.slice(1)}`)
    }
    if (name === '' || name === '.' || name === '..') {
      throw refused(
        `${what} has an empty segment, "." or ".." in its path; write the path of the file without them`,
      )
    }
    if (name.includes('/') || hasControls(name)) {
      throw refused(
        `${what} has an escaped "/" or control character in its path, which no file name has`,
      )
    }
  }
  try {
    return fileURLToPath(`file://${path}`, { windows })
  } catch {
    // Only on Windows: a path without a drive, or with an escaped backslash.
    throw refused(`${what} has a path that is not valid on Windows; write file:///C:/folder/file`)
  }
}

/** Writes a path as a `file:` URI. */
export function writeFilePath(path: string, windows: boolean = onWindows): string {
  const { isAbsolute } = windows ? win32 : posix
  if (!isAbsolute(path)) throw new TypeError('"path" must be absolute')
  const segments = windows ? path.split('\\') : path.slice(1).split('/')
  return `file:///${segments.map((segment) => encodeText(segment, ':')).join('/')}`
}

function withoutHost(uriPath: string, what: string): string {
  if (!uriPath.startsWith('/')) {
    throw refused(`${what} has no absolute path; write file:///folder/file, with three slashes`)
  }
  if (!uriPath.startsWith('//')) return uriPath
  const slash = uriPath.indexOf('/', 2)
  const host = slash < 0 ? uriPath.slice(2) : uriPath.slice(2, slash)
  refuseCredentials(host)
  if (slash < 0 || (host !== '' && host !== 'localhost')) {
    throw refused(
      `${what} names a host, and only files of this machine can be read; write file:///folder/file, with three slashes`,
    )
  }
  return uriPath.slice(slash)
}
