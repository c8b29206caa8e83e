/**
 * How an MCP client finds out where to get its token, for programs that get one without connecting.
 *
 * @module
 */

export { type ChallengedResource, discoverChallengedResource } from './challenged-resource.ts'
