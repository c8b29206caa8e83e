import { jsonText, redact, withoutControls } from './redact.ts'

/** What is for those who choose the version of Node.js, or of a library, and not for those who run a command. */
const ofVersions = /^(?:DeprecationWarning|ExperimentalWarning)$/
const ofSupport = /^NodeVersionSupportWarning/

/** Says what Node.js and libraries warn of in one line, as errors are said; what is about versions only when asked for. */
export function sayWarnings({ json, verbose }: { json: boolean; verbose: boolean }): void {
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) => {
    if (!verbose && (ofVersions.test(name) || ofSupport.test(message))) return
    const line = withoutControls(redact(message).replaceAll(/\s+/g, ' ')).trim()
    process.stderr.write(
      json ? `${jsonText({ warning: { message: line } })}\n` : `countersign: ${line}\n`,
    )
  })
}
