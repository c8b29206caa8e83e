/**
 * How an MCP client learns where its token is to be had, for programs that get one without connecting.
 *
 * @module
 */

export { type ChallengedResource, discoverChallengedResource } from './challenged-resource.ts'
