// Package retrievalbench measures how well ZeroDB finds, in long conversations,
// the turns that answer a question: recall of the evidence among the first ten,
// and the reciprocal rank of the first of them, by what a search uses, by kind of
// question and by language.
//
// The conversations in conversations/ were written by hand for this, in English, French, Spanish
// and Haitian Creole: friends over months, neighbours, a shop's and a studio's customers. A question of
// kind "paraphrase" is asked in other words than the evidence's. Methods and weights were chosen on the
// conversations marked tune; those marked heldout served only to report.
package retrievalbench
