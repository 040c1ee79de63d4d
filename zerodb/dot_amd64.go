package zerodb

import "gonum.org/v1/gonum/blas/gonum"

// Dot is the inner product of two vectors of one length: of unit vectors, their
// cosine. b had better begin at an address that 16 divides.
func Dot(a, b []float32) float32 {
	return gonum.Implementation{}.Sdot(len(a), a, 1, b, 1) // four products an instruction
}
