package httpkit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/httpkit"
)

func TestNextCursor(t *testing.T) {
	t.Parallel()
	itself := func(n *int) int { return *n }
	require.Equal(t, 3, *httpkit.NextCursor([]int{1, 2, 3}, 3, itself))
	require.Nil(t, httpkit.NextCursor([]int{1, 2}, 3, itself), "the last page")
	require.Nil(t, httpkit.NextCursor(nil, 3, itself))
	require.Nil(t, httpkit.NextCursor(nil, 0, itself))
}
