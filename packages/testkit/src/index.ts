export { type CheckSignerOptions, checkSigner } from './check-signer.ts'
export type { CheckName, Violation } from './violations.ts'
