// Package mcpserver gives AI agents the platform's memory and figures as tools of the
// Model Context Protocol: over streamable HTTP at /mcp (see [Handler]), and over
// standard input and output for a program on somebody's desk (see [Remote]).
//
// A tool is a call of the HTTP API with the caller's own key: what the key may
// not do the tool may not either, and every rule, limit and error is the
// API's. What comes back was written by agents, customers and visitors, so every
// answer that holds such text says that it is data, where it comes from, and quotes it in
// lines that it can't leave.
package mcpserver
