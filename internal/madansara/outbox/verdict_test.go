package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/mesh"
	"github.com/engardehq/madansara/mesh/problem"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	rejected := func(status int) error { return &mesh.Error{Kind: mesh.ErrRejected, Status: status} }
	for name, c := range map[string]struct {
		err  error
		want verdict
	}{
		"acknowledged":  {nil, delivered},
		"unreachable":   {&mesh.Error{Kind: mesh.ErrUnreachable}, away},
		"circuit open":  {&mesh.Error{Kind: mesh.ErrCircuitOpen}, away},
		"no capacity":   {&mesh.Error{Kind: mesh.ErrRefused, Status: 503}, away},
		"stopping":      {&mesh.Error{Kind: mesh.ErrCanceled, Err: context.Canceled}, away},
		"timeout":       {&mesh.Error{Kind: mesh.ErrTimeout}, later},
		"bad answer":    {&mesh.Error{Kind: mesh.ErrBadAnswer, Status: 200}, later},
		"not the mesh":  {errors.New("something else"), later},
		"broken":        {rejected(500), later},
		"gateway":       {rejected(502), later},
		"our secret":    {rejected(401), away},
		"our rights":    {rejected(403), away},
		"no route":      {rejected(404), later},
		"no method":     {rejected(405), later},
		"in progress":   {rejected(409), later},
		"malformed":     {rejected(400), refused},
		"too large":     {rejected(413), refused},
		"unprocessable": {rejected(422), refused},
	} {
		require.Equal(t, c.want, judge(c.err), name)
	}
}

func TestWaitsAreBounded(t *testing.T) {
	t.Parallel()
	for n := 1; n < 100; n++ {
		wait := retryAfter(n)
		full := min(time.Second<<min(n-1, 20), time.Hour)
		require.LessOrEqual(t, wait, full)
		require.Greater(t, wait, full/2-1)
	}
	for err, least := range map[error]time.Duration{
		&mesh.Error{Kind: mesh.ErrUnreachable}:                                 time.Second,
		&mesh.Error{Kind: mesh.ErrCircuitOpen, RetryAfter: 7 * time.Second}:    7 * time.Second,
		&mesh.Error{Kind: mesh.ErrRefused, RetryAfter: time.Hour}:              maxAway,
		&mesh.Error{Kind: mesh.ErrRejected, Status: 401}:                       maxAway,
		&mesh.Error{Kind: mesh.ErrCircuitOpen, RetryAfter: 1}:                  time.Second,
		errors.New("five facts in a row failed for a reason of nobody's mesh"): time.Second,
	} {
		wait := awayFor(err)
		require.GreaterOrEqual(t, wait, least)
		require.Less(t, wait, least+least/5+1)
	}
}

func TestAFailureIsTold(t *testing.T) {
	t.Parallel()
	var told Failure
	require.NoError(t, json.Unmarshal(failureOf(&mesh.Error{
		Kind: mesh.ErrRejected, Status: 422, Problem: problem.New(422, "invalid", "No."), Err: errors.New(strings.Repeat("é", 3000)),
	}), &told))
	require.Equal(t, "rejected", told.Kind)
	require.Equal(t, "invalid", told.Problem.Code)
	require.Len(t, []rune(told.Message), 2000)
}
