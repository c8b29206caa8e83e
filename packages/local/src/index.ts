export { type LocalSignerOptions, localSigner } from './signer.ts'
