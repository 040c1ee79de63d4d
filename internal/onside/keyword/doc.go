// Package keyword finds what a page is about: its words and phrases of up to
// three words, weighted by where they stand and how often.
package keyword
