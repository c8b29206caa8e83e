import { writeFileSync } from 'node:fs'
import { nothing } from './counts.mjs'
import { colour, seconds } from './terminal.mjs'

/** What a proof throws that cannot be tried here, with the reason: the lane is missing something. */
export class NotInstalled extends Error {}

/**
 * For a lane's script: runs claims one after another, shows each, and writes the lane's report.
 */
export class LaneReport {
  #counts = nothing()

  /**
   * @param {string} claim
   * @param {() => Promise<void> | void} proof throws when the claim is false, or `NotInstalled`
   * @returns {Promise<boolean>} whether it held
   */
  async check(claim, proof) {
    const started = performance.now()
    try {
      await proof()
    } catch (error) {
      if (error instanceof NotInstalled) {
        this.#miss(`${claim}: ${error.message}`)
        return false
      }
      this.#counts.failed++
      this.#counts.notes = [...(this.#counts.notes ?? []), `failed: ${claim}`]
      console.log(`${colour('red', '✗')} ${claim}\n${indent(explain(error))}`)
      return false
    }
    this.#counts.passed++
    const time = colour('dim', seconds(performance.now() - started))
    console.log(`${colour('green', '✓')} ${claim}  ${time}`)
    return true
  }

  /**
   * @param {string} claim
   * @param {string} reason
   */
  skip(claim, reason) {
    this.#counts.skipped++
    this.#counts.notes = [...(this.#counts.notes ?? []), `skipped: ${claim}: ${reason}`]
    console.log(`${colour('yellow', '–')} ${claim}: ${reason}`)
  }

  /** @param {string} what */
  #miss(what) {
    const { missing } = this.#counts
    this.#counts.missing = missing === undefined ? what : `${missing}; ${what}`
    console.log(`${colour('yellow', '–')} ${what}`)
  }

  get counts() {
    return this.#counts
  }

  /** Writes the report where `COUNTERSIGN_LANE_REPORT` says, and sets the exit code. */
  finish() {
    const file = process.env['COUNTERSIGN_LANE_REPORT']
    if (file !== undefined) writeFileSync(file, JSON.stringify(this.#counts))
    process.exitCode = this.#counts.failed > 0 ? 1 : 0
  }
}

/** @param {unknown} error */
function explain(error) {
  if (!(error instanceof Error)) return String(error)
  const speaksForItself = error.name === 'Failure' || error.name === 'AssertionError'
  return speaksForItself ? error.message : (error.stack ?? error.message)
}

/** @param {string} text */
function indent(text) {
  return text.trimEnd().replaceAll(/^/gm, '    ')
}
