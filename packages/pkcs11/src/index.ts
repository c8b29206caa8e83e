export type { Pin, Pkcs11SignerOptions, TokenSelector } from './options.ts'
export { type Pkcs11Signer, pkcs11Signer } from './signer.ts'
