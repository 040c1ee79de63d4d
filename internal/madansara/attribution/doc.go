// Package attribution says which touches earned a conversion.
//
// The models are pure functions over a [Journey]. The job attribute_conversion
// loads a conversion's journey and stores what each model credits its touches
// with; it commits with the conversion that caused it.
package attribution
