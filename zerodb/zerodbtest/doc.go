// Package zerodbtest holds what a back end of zerodb must do, as tests ([Run]), and
// the simplest back end that does it ([Reference]).
package zerodbtest
