// Package embed turns texts into vectors whose nearness is nearness of meaning.
//
// Three kinds fit one shape (Embed, Model, Dimension), which is that of
// zerodb's Embedder:
//
//   - [Builtin] needs nothing: the program carries a table of word vectors.
//   - [HTTP] asks a service, in the simple form or in OpenAI's.
//   - [Cached] stands before another one and remembers what it answered.
//
// A vector means something only beside vectors of its own model. [HTTP]
// refuses an answer whose dimension or model is not what it was; who stores vectors
// keeps Model() and Dimension() with them and compares only what is alike.
//
// [Builtin.Match] scores texts against a query word by word, to put in order the few that
// a search found.
//
// # Forms of a service
//
// The simple form is one text a request:
//
//	POST <the URL as it is>   {"text": "..."}   ->   {"embedding": [0.1, ...]}
//
// OpenAI's form takes batches and, optionally, a bearer key:
//
//	POST .../v1/embeddings    {"model": "...", "input": ["...", ...], "encoding_format": "float"}
//	->  {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [...]}, ...], "model": "..."}
//
// It is assumed when the URL's path ends in /embeddings, or in /v1, to which
// /embeddings is added; [HTTPConfig.Form] overrules that.
package embed
