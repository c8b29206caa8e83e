export type { Pin, Pkcs11SignerOptions, TokenSelector } from './options.ts'
export { pkcs11Signer } from './signer.ts'
