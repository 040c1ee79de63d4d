package config_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/internal/config"
)

const credentialsKey = "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

func TestCredentialsKeysInEveryForm(t *testing.T) {
	t.Parallel()
	want, err := hex.DecodeString(credentialsKey)
	require.NoError(t, err)
	for _, text := range []string{
		credentialsKey, strings.ToUpper(credentialsKey) + "\n",
		"4OHi4+Tl5ufo6err7O3u7/Dx8vP09fb3+Pn6+/z9/v8=", "4OHi4-Tl5ufo6err7O3u7_Dx8vP09fb3-Pn6-_z9_v8",
	} {
		cfg, err := config.Load(map[string]string{"CREDENTIALS_KEY": text, "CREDENTIALS_KEY_PREVIOUS": strings.Repeat("0f", 32)})
		require.NoError(t, err, text)
		keys, err := cfg.CredentialsKeys()
		require.NoError(t, err)
		require.Len(t, keys, 2)
		require.Equal(t, want, keys[0])
		require.NotContains(t, strings.Join(cfg.Lines(), "\n"), strings.TrimSpace(text))
	}
}

func TestCredentialsKeysThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]map[string]string{
		"short":        {"CREDENTIALS_KEY": "hunter2"},
		"long":         {"CREDENTIALS_KEY": credentialsKey + "00"},
		"no digits":    {"CREDENTIALS_KEY": "x" + credentialsKey[1:]},
		"previous":     {"CREDENTIALS_KEY": credentialsKey, "CREDENTIALS_KEY_PREVIOUS": "hunter2"},
		"the same":     {"CREDENTIALS_KEY": credentialsKey, "CREDENTIALS_KEY_PREVIOUS": credentialsKey},
		"no key of it": {"CREDENTIALS_KEY_PREVIOUS": credentialsKey},
	} {
		_, err := config.Load(set)
		require.ErrorContains(t, err, "CREDENTIALS_KEY", name)
		require.ErrorContains(t, err, "for example: ", name)
		require.NotContains(t, err.Error(), "hunter2", name)
	}
	cfg, err := config.Load(nil)
	require.NoError(t, err)
	_, err = cfg.CredentialsKeys()
	require.ErrorContains(t, err, "CREDENTIALS_KEY is not set; for example: ")
}

func FuzzCredentialsKey(f *testing.F) {
	f.Add(credentialsKey)
	f.Add("4OHi4+Tl5ufo6err7O3u7/Dx8vP09fb3+Pn6+/z9/v8=")
	f.Add("-_=\x00")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := config.Config{CredentialsKey: config.Secret(text)}.CredentialsKeys()
		if err == nil && len(keys[0]) != 32 {
			t.Fatalf("%q: a key of %d bytes", text, len(keys[0]))
		}
	})
}
