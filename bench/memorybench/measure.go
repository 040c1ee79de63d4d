package memorybench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/engardehq/madansara/zerodb"
)

func (b *bench) measure(ctx context.Context, n int) (row Row, err error) {
	client, err := b.client(ample)
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, client.Close(ctx)) }()
	row = Row{Agent: n, Tenant: b.stored}
	ask := func() (time.Duration, error) {
		query := b.text()
		started := time.Now()
		_, err := client.Tenant(b.tenant).Retrieve(ctx, agentOf(n), query, "", 10, 0)
		return time.Since(started), err
	}
	if row.Cold, err = ask(); err != nil {
		return row, err
	}
	vectors, err := b.vectors(ctx, n)
	if err != nil {
		return row, err
	}
	// By turns, so that what disturbs the one disturbs the other.
	asked, scans, vectorScans := make([]time.Duration, b.opts.Asked), make([]time.Duration, b.opts.Asked), make([]time.Duration, b.opts.Asked)
	for i := range asked {
		if asked[i], err = ask(); err != nil {
			return row, err
		}
		if scans[i], err = b.scan(ctx, vectors, dot); err != nil {
			return row, err
		}
		if vectorScans[i], err = b.scan(ctx, vectors, zerodb.Dot); err != nil {
			return row, err
		}
	}
	slices.Sort(asked)
	slices.Sort(scans)
	row.P50, row.P99, row.Scan = asked[len(asked)/2], asked[len(asked)*99/100], scans[len(scans)/2]
	row.Best = float64(asked[0]) / float64(scans[0])
	row.SIMD = slices.Min(vectorScans)
	return row, nil
}

// vectors are an agent's, one behind the other.
func (b *bench) vectors(ctx context.Context, n int) ([]float32, error) {
	rows, err := b.admin.Query(ctx, "select vector from memories where tenant_uuid = $1 and scope_name = $2", b.tenant, agentOf(n))
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	all := make([]float32, 0, n*dimensions)
	var encoded []byte
	_, err = pgx.ForEachRow(rows, []any{&encoded}, func() error {
		all = append(all, zerodb.VectorOf(encoded)...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return all, nil
}

// scan is what any exact search must do: every vector compared, the ten nearest kept.
func (b *bench) scan(ctx context.Context, vectors []float32, dot func(a, b []float32) float32) (time.Duration, error) {
	embedded, err := b.embedder.Embed(ctx, []string{b.text()})
	if err != nil {
		return 0, err
	}
	query := embedded[0]
	started := time.Now()
	nearest := make([]float32, 0, 11)
	for at := 0; at < len(vectors); at += dimensions {
		cosine := dot(query, vectors[at:at+dimensions])
		if len(nearest) < 10 || cosine > nearest[len(nearest)-1] {
			place, _ := slices.BinarySearchFunc(nearest, cosine, func(a, c float32) int { return cmp.Compare(c, a) })
			nearest = slices.Insert(nearest, place, cosine)
			nearest = nearest[:min(len(nearest), 10)]
		}
	}
	took := time.Since(started)
	if len(nearest) == 0 {
		return 0, errors.New("bench: nothing was compared")
	}
	return took, nil
}

// dot is the fastest inner product that was found in Go: four sums side by side,
// without checks of bounds. Eight sums, or two vectors at once, are slower.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

// stream measures how many bytes a second one core reads from memory: the fastest
// of some passes over more than any cache holds.
func stream() float64 {
	numbers := make([]uint64, 64<<20) // 512 MiB
	for i := range numbers {
		numbers[i] = uint64(i)
	}
	fastest := time.Duration(0)
	for range 20 {
		started := time.Now()
		var s0, s1, s2, s3, s4, s5, s6, s7 uint64
		for i := 0; i+8 <= len(numbers); i += 8 {
			n := numbers[i : i+8 : i+8]
			s0, s1, s2, s3, s4, s5, s6, s7 = s0+n[0], s1+n[1], s2+n[2], s3+n[3], s4+n[4], s5+n[5], s6+n[6], s7+n[7]
		}
		took := time.Since(started)
		if s0+s1+s2+s3+s4+s5+s6+s7 > 0 && (fastest == 0 || took < fastest) {
			fastest = took
		}
	}
	return float64(8*len(numbers)) / fastest.Seconds()
}
