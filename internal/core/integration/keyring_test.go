package integration //nolint:testpackage // sealing is inside

import (
	"bytes"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestKeysThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, keys := range [][][]byte{{}, {nil}, {make([]byte, 16)}, {make([]byte, KeySize), make([]byte, KeySize+1)}} {
		_, err := NewKeyring(keys...)
		require.Error(t, err)
	}
}

func genKey(t *rapid.T, name string) []byte {
	return rapid.SliceOfN(rapid.Byte(), KeySize, KeySize).Draw(t, name)
}

// TestWhatIsSealedOpensInItsPlaceAlone: the same text, key and place open it;
// any other place, key or byte does not.
func TestWhatIsSealedOpensInItsPlaceAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		current, other := genKey(t, "key"), genKey(t, "other")
		if bytes.Equal(current, other) {
			return
		}
		ring, err := NewKeyring(current)
		require.NoError(t, err)
		tenant, id := uuid.New(), uuid.New()
		text := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		keyID, sealed := ring.seal(tenant, id, text)
		opened, err := ring.open(keyID, tenant, id, sealed)
		require.NoError(t, err)
		require.Equal(t, string(text), string(opened))
		_, again := ring.seal(tenant, id, text)
		require.NotEqual(t, sealed, again, "the same text never looks the same")

		for _, wrong := range [][2]uuid.UUID{{id, tenant}, {tenant, uuid.New()}, {uuid.New(), id}} {
			_, err = ring.open(keyID, wrong[0], wrong[1], sealed)
			require.Error(t, err)
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
		sealed[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		_, err = ring.open(keyID, tenant, id, sealed)
		require.Error(t, err)
		_, err = ring.open(keyID, tenant, id, sealed[:at])
		require.Error(t, err)
		sealed[at] = again[at]
		rotated, err := NewKeyring(other, current)
		require.NoError(t, err)
		opened, err = rotated.open(keyID, tenant, id, again)
		require.NoError(t, err, "a previous key opens")
		require.Equal(t, string(text), string(opened))
		newID, _ := rotated.seal(tenant, id, text)
		require.NotEqual(t, keyID, newID, "and the current one seals")
		forgotten, err := NewKeyring(other)
		require.NoError(t, err)
		_, err = forgotten.open(keyID, tenant, id, again)
		require.ErrorIs(t, err, ErrUnknownKey)
	})
}
