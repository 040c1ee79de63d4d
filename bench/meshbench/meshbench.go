// Package meshbench measures what a call over the mesh costs beside one over
// bare net/http, by the mesh package's own benchmark.
package meshbench

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Result is the benchmark's metrics by their names.
type Result struct{ metrics map[string]float64 }

// String is the result for people.
func (r Result) String() string {
	m := r.metrics
	return fmt.Sprintf(`a JSON call over loopback, median, each way in turn within one run
signed and verified:  bare net/http %.0f µs, mesh %.0f µs   %+.0f %%
not signed:           bare net/http %.0f µs, mesh %.0f µs   %+.0f %%
mesh, signed, against bare net/http that is not: %.2f
`, m["bare_signed_us"], m["mesh_us"], 100*(m["mesh/bare_signed"]-1),
		m["bare_us"], m["mesh_unsigned_us"], 100*(m["mesh_unsigned/bare"]-1), m["mesh/bare"])
}

// Run runs the benchmark.
func Run(ctx context.Context) (Result, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkOverhead$", "-benchtime", "5000x", "github.com/engardehq/madansara/mesh")
	output, err := cmd.CombinedOutput()
	if err != nil {
		return Result{}, fmt.Errorf("bench: the mesh's benchmark: %w: %s", err, output)
	}
	return parse(output)
}

// parse reads a benchmark's line: a name, a count, then values with their units.
func parse(output []byte) (Result, error) {
	r := Result{metrics: map[string]float64{}}
	for line := range bytes.Lines(output) {
		fields := strings.Fields(string(line))
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "BenchmarkOverhead") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return r, fmt.Errorf("bench: %q: %w", line, err)
			}
			r.metrics[fields[i+1]] = value
		}
	}
	for _, name := range []string{"bare_us", "mesh_unsigned_us", "bare_signed_us", "mesh_us", "mesh/bare_signed", "mesh_unsigned/bare", "mesh/bare"} {
		if r.metrics[name] <= 0 {
			return r, fmt.Errorf("bench: the mesh's benchmark reports no %s: %s", name, output)
		}
	}
	return r, nil
}
