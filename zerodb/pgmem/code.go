package pgmem

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"sync"
)

// A code is a vector with two bits a number, which stand for -3, -1, 1 and 3. It is made of the vector
// turned at random (the same for all of one length), so that no number says more than another, whatever
// the embedder: vectors of hashed words are mostly zeros, and their signs say nothing. A query has four bits
// a number, -7 to 7. Their inner product, times the code's factor, is the cosine as near as can be told. The
// design is that of RaBitQ (Gao and Long, 2024) with an orthogonal transform that needs no matrix.
//
// Bits lie in words of 64 numbers: low bits, high bits, low bits, ...

// codeWords is the length of a code.
func codeWords(dimension int) int { return (dimension + 63) / 64 * 2 }

// boundary is where 1 ends and 3 begins, in standard deviations of a number: what loses
// least of a normal distribution (Max, 1960).
const boundary = 0.98

// levels are what a number counts whose size is below the boundary, and from it on.
var levels = [2]float32{1, 3}

// encode returns a unit vector's code, and the factor that makes up for what it lost.
func encode(vector []float32) (code []uint64, factor float32) {
	turned := turn(vector)
	code = make([]uint64, codeWords(len(turned)))
	border := float32(boundary / math.Sqrt(float64(len(turned))))
	var product float32
	for i, x := range turned {
		// Without branches, which nothing could foretell. -3, -1, 1, 3 are 0, 1, 2, 3 doubled, less 3.
		negative := uint64(math.Float32bits(x) >> 31)
		size := math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
		large := uint64(0)
		if size >= border {
			large = 1
		}
		product += size * levels[large]
		at, bit := i/64*2, i%64
		code[at] |= (large ^ negative) << bit
		code[at+1] |= (1 ^ negative) << bit
	}
	if product > 0 {
		factor = 1 / product
	}
	return code, factor
}

// codeQuery is a query to compare with codes.
type codeQuery struct {
	planes [][4]uint64 // of each 64 numbers: the bits that count 1, 2, 4 and -8
	scale  float32
	shift  int // what codes without their -3 have too much
}

func newCodeQuery(vector []float32) codeQuery {
	turned := turn(vector)
	var largest float32
	for _, x := range turned {
		largest = max(largest, x, -x)
	}
	q := codeQuery{planes: make([][4]uint64, (len(turned)+63)/64)}
	if largest == 0 {
		return q
	}
	q.scale = largest / 7
	for i, x := range turned {
		level := int(math.Round(float64(x / q.scale)))
		q.shift += 3 * level
		for plane := range 4 {
			q.planes[i/64][plane] |= uint64(level) >> plane & 1 << (i % 64)
		}
	}
	return q
}

// product is the inner product with a code, before its factor.
func (q *codeQuery) product(code []uint64) float32 {
	sum := 0
	for w := range q.planes {
		p, low, high := &q.planes[w], code[2*w], code[2*w+1]
		sum += bits.OnesCount64(p[0]&low) + 2*(bits.OnesCount64(p[1]&low)+bits.OnesCount64(p[0]&high)) +
			4*(bits.OnesCount64(p[2]&low)+bits.OnesCount64(p[1]&high)) +
			8*(bits.OnesCount64(p[2]&high)-bits.OnesCount64(p[3]&low)) - 16*bits.OnesCount64(p[3]&high)
	}
	return q.scale * float32(2*sum-q.shift)
}

// turn applies an orthogonal transform that spreads every number over all: three times, signs are
// flipped at random and the largest power of two of numbers, at the front and then at the end, goes
// through a Walsh-Hadamard transform.
func turn(vector []float32) []float32 {
	turned := make([]float32, len(vector))
	copy(turned, vector)
	if len(turned) == 0 {
		return turned
	}
	size := 1 << (bits.Len(uint(len(turned))) - 1)
	for _, flips := range signsOf(len(turned)) {
		for i := range turned {
			turned[i] *= flips[i]
		}
		hadamard(turned[:size])
		if size < len(turned) {
			hadamard(turned[len(turned)-size:])
		}
	}
	return turned
}

// signs are those of each length in use: that of the embedder, and of the one before it.
var signs sync.Map

func signsOf(dimension int) [][]float32 {
	if known, ok := signs.Load(dimension); ok {
		list, _ := known.([][]float32)
		return list
	}
	random := rand.New(rand.NewPCG(uint64(dimension), 3)) //nolint:gosec // not to be secret but the same
	list := make([][]float32, 3)
	for i := range list {
		list[i] = make([]float32, dimension)
		for j := range list[i] {
			list[i][j] = float32(2*random.IntN(2) - 1)
		}
	}
	signs.Store(dimension, list)
	return list
}

func hadamard(x []float32) {
	half := 1
	if len(x) >= 4 { // two steps at once
		half = 4
		for at := 0; at < len(x); at += 4 {
			q := x[at : at+4 : at+4]
			sum, difference, sum2, difference2 := q[0]+q[1], q[0]-q[1], q[2]+q[3], q[2]-q[3]
			q[0], q[1], q[2], q[3] = sum+sum2, difference+difference2, sum-sum2, difference-difference2
		}
	}
	for ; half < len(x); half *= 2 {
		for at := 0; at < len(x); at += 2 * half {
			front, back := x[at:at+half:at+half], x[at+half:at+2*half]
			for i, a := range front {
				front[i], back[i] = a+back[i], a-back[i]
			}
		}
	}
	scale := float32(1 / math.Sqrt(float64(len(x))))
	for i := range x {
		x[i] *= scale
	}
}
