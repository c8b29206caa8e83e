import { posix, win32 } from 'node:path'
import { fileURLToPath } from 'node:url'
import { badEscape, commonOf, readAttributes, writeQuery } from './attributes.ts'
import type { FileKeyUri } from './key-uri.ts'
import { decodeText, encodeText, hasControls } from './percent.ts'
import { refused } from './refusal.ts'
import { refuseCredentials, type SplitUri } from './split-uri.ts'

const onWindows = process.platform === 'win32'

/** Reads `file:///absolute/path?alg=…&kid=…`, RFC 8089. */
export function parseFile({ hierarchy, query }: SplitUri): FileKeyUri {
  const path = readFilePath(hierarchy, 'The key URI')
  const attributes = readAttributes(query, {
    where: 'the query of a file: URI',
    separator: '&',
    accepted: ['alg', 'kid'],
  })
  return { scheme: 'file', path, ...commonOf(attributes) }
}

export function formatFile({ path, alg, kid }: FileKeyUri): string {
  return `${writeFilePath(path)}${writeQuery({ alg, kid })}`
}

/** The path that stands after `file:`, as the operating system writes it. */
export function readFilePath(
  hierarchy: string,
  what: string,
  windows: boolean = onWindows,
): string {
  const path = withoutHost(hierarchy, what)
  // What follows is read by fileURLToPath, which takes a "\\" for a "/" and more of the kind.
  if (/[^\w\-.~:/[\]@!$&'()*+,;=%]/.test(path)) {
    throw refused(
      `${what} has a character in its path that is to be percent-encoded, as %20 for a space`,
    )
  }
  for (const segment of path.slice(1).split('/')) {
    const name = decodeText(segment)
    if (name === undefined) throw badEscape(`The path of ${uncapitalised(what)}`)
    if (name === '' || name === '.' || name === '..') {
      throw refused(
        `${what} has an empty segment, "." or ".." in its path; write the path of the file without them`,
      )
    }
    if (name.includes('/') || hasControls(name)) {
      throw refused(
        `${what} has a "/" or a control character escaped in its path, which no file name has`,
      )
    }
  }
  try {
    return fileURLToPath(`file://${path}`, { windows })
  } catch {
    // On Windows alone there are paths that are none: without a drive, or with an escaped backslash.
    throw refused(`${what} has a path that is none on Windows; write file:///C:/folder/file`)
  }
}

export function writeFilePath(path: string, windows: boolean = onWindows): string {
  const { isAbsolute } = windows ? win32 : posix
  if (!isAbsolute(path)) throw new TypeError('"path" must be absolute')
  const segments = windows ? path.split('\\') : path.slice(1).split('/')
  return `file:///${segments.map((segment) => encodeText(segment, ':')).join('/')}`
}

function withoutHost(hierarchy: string, what: string): string {
  if (!hierarchy.startsWith('/')) {
    throw refused(`${what} has no absolute path; write file:///folder/file, with three slashes`)
  }
  if (!hierarchy.startsWith('//')) return hierarchy
  const slash = hierarchy.indexOf('/', 2)
  const host = slash < 0 ? hierarchy.slice(2) : hierarchy.slice(2, slash)
  refuseCredentials(host)
  if (slash < 0 || (host !== '' && host !== 'localhost')) {
    throw refused(
      `${what} names a host where a file of this machine is meant; write file:///folder/file, with three slashes`,
    )
  }
  return hierarchy.slice(slash)
}

function uncapitalised(text: string): string {
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}`
}
