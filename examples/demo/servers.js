// @ts-check

// All that the demonstration needs beside the public packages comes through here.
export { startPair } from '@countersign/test/servers/pair'
