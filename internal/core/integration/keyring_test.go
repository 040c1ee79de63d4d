package integration //nolint:testpackage // sealing is inside

import (
	"encoding/hex"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestKeysInEveryForm(t *testing.T) {
	t.Parallel()
	want := make([]byte, KeySize)
	for i := range want {
		want[i] = byte(0xe0 + i)
	}
	for _, text := range []string{
		"e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "E0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF\n",
		"4OHi4+Tl5ufo6err7O3u7/Dx8vP09fb3+Pn6+/z9/v8=", "4OHi4-Tl5ufo6err7O3u7_Dx8vP09fb3-Pn6-_z9_v8",
	} {
		key, err := ParseKey(text)
		require.NoError(t, err, text)
		require.Equal(t, want, key)
	}
	for _, text := range []string{"", "secret", "e0e1", hex.EncodeToString(want) + "00", "g0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"} {
		_, err := ParseKey(text)
		require.Error(t, err, text)
		if text != "" {
			require.NotContains(t, err.Error(), text)
		}
	}
}

func genKey(t *rapid.T, name string) string {
	return hex.EncodeToString(rapid.SliceOfN(rapid.Byte(), KeySize, KeySize).Draw(t, name))
}

// TestWhatIsSealedOpensInItsPlaceAlone: the same text, key and place open it;
// any other place, key or byte does not.
func TestWhatIsSealedOpensInItsPlaceAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		current, other := genKey(t, "key"), genKey(t, "other")
		if current == other {
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

func FuzzParseKey(f *testing.F) {
	f.Add("e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
	f.Add("4OHi4+Tl5ufo6err7O3u7/Dx8vP09fb3+Pn6+/z9/v8=")
	f.Add("-_=\x00")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseKey(text)
		if err == nil && len(key) != KeySize {
			t.Fatalf("%d bytes", len(key))
		}
	})
}
