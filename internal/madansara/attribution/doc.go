// Package attribution says which touches earned a conversion.
//
// A touch is a visit that came from somewhere or a click in a message of ours.
// Opening a mail is not one: Apple Mail Privacy Protection and other proxies
// load every picture of a mail whether or not a person looks at it, so opens
// would credit e-mail with purchases of people who never saw it.
//
// The journey of a conversion is what touched the person before it and after
// their previous conversion of the same name (a newsletter sign-up does not take
// the touches from the purchase that follows it), within the model's look-back.
// What began the visit in which they convert belongs to it in any case: a second
// order of one visit is earned by what earned the visit.
//
// From these, [Settings.Eligible] drops what must not be credited. The models are
// pure functions over the rest; their weights sum to 1.
//
// A refund takes back what its order earned, touch by touch, in the order's
// proportions; it has no journey of its own. One whose order nobody recorded
// takes nothing from anyone, until the order comes.
//
// A conversion without any touch has no credit. Reports show it as
// "unattributed", so that their totals are the conversions' totals.
//
// The job attribute_conversion loads a conversion's journey and stores what each
// model credits its touches with; it commits with the conversion that caused it.
package attribution
