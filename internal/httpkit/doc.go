// Package httpkit is the services' HTTP side: server, middleware,
// authentication, problem+json, health and rate limits. It knows no business.
package httpkit
