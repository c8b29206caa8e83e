export {
  type AlgorithmParameters,
  algorithms,
  type EcdsaAlgorithm,
  isJwsAlgorithm,
  type JwsAlgorithm,
} from './algorithm.ts'
export { type AuthorizationGrantOptions, authorizationGrant } from './authorization-grant.ts'
export {
  assertionProvider,
  type ClientAssertionOptions,
  clientAssertion,
} from './client-assertion.ts'
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
export { type SignJwsOptions, signJws } from './jws.ts'
export { type JwtOptions, type SignJwtOptions, signJwt } from './jwt.ts'
export type { ClosableSigner } from './load-signer.ts'
export type { LoadSigner } from './loaded-signer.ts'
export type { Jwk, PublicJwk, PublicKeyInput } from './public-key.ts'
export { type RotatingOptions, rotating } from './rotating.ts'
export type { KeyProtection, RotatingSigner, Signer, SignerSource, SignOptions } from './signer.ts'
export { spkiThumbprint, thumbprint } from './thumbprint.ts'
