/**
 * For the packages of this repository alone: it may change in any release.
 *
 * @module
 */

export { readSecretText, type SecretFile } from './secret-file.ts'
