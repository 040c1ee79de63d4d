package httpkit

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACallerWhoLeftIsNoFailure(t *testing.T) {
	t.Parallel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	require.True(t, callerLeft(gone, fmt.Errorf("tenant transaction: %w", context.Canceled)))
	require.False(t, callerLeft(gone, errors.New("the disk is full")), "a failure is told of whoever is there")
	require.False(t, callerLeft(t.Context(), context.Canceled), "what we cancelled ourselves is our failure")
}
