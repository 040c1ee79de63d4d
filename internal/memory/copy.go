package memory

import (
	"context"
	"io"

	"github.com/engardehq/madansara/zerodb"
)

// Copy stores every memory of one tenant in another place as it is, every version of it, and
// returns how many. It streams, so that it takes little of the process's memory, and may be repeated.
func Copy(ctx context.Context, from, to zerodb.Tenant) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reading, writing := io.Pipe()
	go func() {
		_, err := from.Export(ctx, writing)
		writing.CloseWithError(err) // nil is the end
	}()
	n, err := to.Import(ctx, reading)
	reading.CloseWithError(err) // ends the export, should it still run
	return n, err
}
