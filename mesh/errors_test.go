package mesh_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/problem"
)

func TestWhatAnErrorSaysAndIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err       mesh.Error
		text      string
		temporary bool
	}{
		{mesh.Error{Kind: mesh.ErrUnreachable, Attempts: 3, Err: errors.New("connection refused")}, "mesh: onside test: unreachable after 3 attempts: connection refused", true},
		{mesh.Error{Kind: mesh.ErrCircuitOpen}, "mesh: onside test: circuit_open", true},
		{mesh.Error{Kind: mesh.ErrTimeout, Attempts: 1}, "mesh: onside test: timeout", true},
		{mesh.Error{Kind: mesh.ErrRefused, Status: 429}, "mesh: onside test: refused: 429 Too Many Requests", true},
		{mesh.Error{Kind: mesh.ErrRejected, Status: 500, Problem: problem.New(500, "", "")}, "mesh: onside test: rejected: 500: Internal Server Error", true},
		{mesh.Error{Kind: mesh.ErrRejected, Status: 404, Problem: problem.New(404, "not_found", "No such page.")}, "mesh: onside test: rejected: 404 not_found: No such page.", false},
		{mesh.Error{Kind: mesh.ErrCanceled}, "mesh: onside test: canceled", false},
		{mesh.Error{Kind: mesh.ErrBadAnswer}, "mesh: onside test: bad_answer", false},
	} {
		c.err.Peer, c.err.Call = mesh.Onside, "test"
		var err error = &c.err
		require.EqualError(t, err, c.text)
		require.Equal(t, c.temporary, c.err.Temporary(), c.text)
		for _, kind := range []mesh.Kind{mesh.ErrUnreachable, mesh.ErrCircuitOpen, mesh.ErrTimeout, mesh.ErrRefused, mesh.ErrRejected, mesh.ErrCanceled, mesh.ErrBadAnswer} {
			require.Equal(t, kind == c.err.Kind, errors.Is(err, kind), "%s is %s", c.text, kind)
		}
		require.Equal(t, c.err.Kind == mesh.ErrTimeout, errors.Is(err, context.DeadlineExceeded))
		require.Equal(t, c.err.Kind == mesh.ErrCanceled, errors.Is(err, context.Canceled))
		var network net.Error
		require.ErrorAs(t, err, &network, "callers that know only net.Error can ask whether it was a timeout")
		require.Equal(t, c.err.Kind == mesh.ErrTimeout, network.Timeout())
	}
}
