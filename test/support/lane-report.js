// @ts-check
import { writeFileSync } from 'node:fs'

/** @typedef {{ claim: string, failure?: string, skipped?: string }} Check */

/** Runs the checks of a script one after another, prints each result, and writes the report for `script-tests.js`. */
export class LaneReport {
  /** @type {Check[]} */
  #checks = []

  /**
   * @param {string} claim
   * @param {() => Promise<void> | void} proof throws when the claim is false
   * @returns {Promise<boolean>} whether the claim is true
   */
  async check(claim, proof) {
    try {
      await proof()
      this.#add({ claim })
      return true
    } catch (error) {
      this.#add({
        claim,
        failure: error instanceof Error ? (error.stack ?? error.message) : String(error),
      })
      return false
    }
  }

  /**
   * @param {string} claim
   * @param {string} reason
   */
  skip(claim, reason) {
    this.#add({ claim, skipped: reason })
  }

  /** @param {Check} check */
  #add(check) {
    this.#checks.push(check)
    console.log(`${check.failure ? '✗' : check.skipped ? '–' : '✓'} ${check.claim}`)
    if (check.failure ?? check.skipped) console.log(`    ${check.failure ?? check.skipped}`)
  }

  /** Writes the report where `COUNTERSIGN_LANE_REPORT` says, and sets the exit code. */
  finish() {
    const file = process.env['COUNTERSIGN_LANE_REPORT']
    if (file !== undefined) writeFileSync(file, JSON.stringify(this.#checks))
    process.exitCode = this.#checks.some(({ failure }) => failure !== undefined) ? 1 : 0
  }
}
