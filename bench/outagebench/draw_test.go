package outagebench_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/bench/outagebench"
)

// The picture in the documentation is what the recorded samples beside it draw.
func TestThePictureIsOfTheSamples(t *testing.T) {
	t.Parallel()
	const folder = "../../docs/images/"
	data, err := os.ReadFile(folder + "outage.csv")
	require.NoError(t, err)
	points, err := outagebench.Decode(data)
	require.NoError(t, err)
	require.Equal(t, string(data), string(outagebench.Encode(points)))
	picture, err := os.ReadFile(folder + "outage.svg")
	require.NoError(t, err)
	require.Equal(t, string(picture), string(outagebench.Draw(points)), "run: go run ./bench -only outage -write ...")
}

func TestDrawIsXMLWhateverThePoints(t *testing.T) {
	t.Parallel()
	for _, points := range [][]outagebench.Point{nil, {{}}, {{Phase: "<&>"}, {At: 1, Phase: "dead", Attempts: 3, Circuit: "open"}, {At: 2, Pending: 7}}} {
		decoder := xml.NewDecoder(strings.NewReader(string(outagebench.Draw(points))))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
	}
}
