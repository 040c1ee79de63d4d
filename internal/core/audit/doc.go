// Package audit records who did what to what, when and from where: one row an
// act, written in the transaction of the act, so that there is neither an act
// without its entry nor an entry without its act. Rows are only added; the
// database role of the service may not change or remove one.
package audit
