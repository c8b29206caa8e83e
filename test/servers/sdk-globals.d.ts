// The MCP SDK's declarations name a type of lib.dom which @types/node leaves out.
type HeadersInit = NonNullable<RequestInit['headers']>
