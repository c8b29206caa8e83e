export {
  type AlgorithmParameters,
  algorithms,
  type EcdsaAlgorithm,
  isJwsAlgorithm,
  type JwsAlgorithm,
} from './algorithm.ts'
export {
  type AuthorizationGrantOptions,
  assertionProvider,
  authorizationGrant,
  type ClientAssertionOptions,
  clientAssertion,
  type JwtOptions,
} from './assertion.ts'
export {
  type CreateSignerOptions,
  createSigner,
  type SignerBackend,
  type SignRequest,
} from './create-signer.ts'
export type { RotationMessage, SignMessage } from './diagnostics.ts'
export {
  SignerError,
  type SignerErrorCode,
  type SignerErrorOptions,
  type SignerFailure,
} from './error.ts'
export { type Jwks, jwks } from './jwks.ts'
export { type SignJwsOptions, type SignJwtOptions, signJws, signJwt } from './jws.ts'
export type { ClosableSigner } from './load-signer.ts'
export type { LoadSigner } from './loaded-signer.ts'
export type { Jwk, PublicJwk, PublicKeyInput } from './public-key.ts'
export { type RotatingOptions, rotating } from './rotating.ts'
export type { KeyProtection, RotatingSigner, Signer, SignerSource, SignOptions } from './signer.ts'
export { spkiThumbprint, thumbprint } from './thumbprint.ts'
