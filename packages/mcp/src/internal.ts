/**
 * Internal: for other packages of this repository only, and may change in any release. It discovers where an MCP server
 * gets its tokens from, for a program that requests a token without connecting.
 *
 * @module
 */

export {
  type DiscoveredResource,
  type DiscoverResourceOptions,
  discoverResource,
} from './resource-discovery.ts'
