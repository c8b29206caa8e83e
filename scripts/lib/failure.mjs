/** A failure that one or more plain sentences explain; shown without a stack. */
export class Failure extends Error {
  /** @override */
  name = 'Failure'
}
