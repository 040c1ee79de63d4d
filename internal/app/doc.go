// Package app builds a service from its parts and runs it until it is asked to
// stop. It is the only place that knows all the parts.
package app
