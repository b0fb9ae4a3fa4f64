package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

func TestReadNumbers(t *testing.T) {
	var got []string
	note := func(line int, e catalog.Entry, wrong error) error {
		if wrong != nil {
			got = append(got, fmt.Sprint(line, " ", wrong))
		} else {
			got = append(got, fmt.Sprint(line, " ", e))
		}
		return nil
	}
	require.NoError(t, ReadNumbers(strings.NewReader("number,customer\n# none\n+15550000001,a\nx\n\"+1 555 010 0001\",b\n+15550001000-+15550001999"), note))
	require.Equal(t, []string{"3 +15550000001", `4 "x" holds 'x'`, "5 +15550100001", "6 +15550001000-+15550001999"}, cutAt(got, ";"))

	stop := errors.New("enough")
	require.Equal(t, stop, ReadNumbers(strings.NewReader("1\n2\n"), func(int, catalog.Entry, error) error { return stop }))
	require.ErrorContains(t, ReadNumbers(strings.NewReader("\x1f\x8b"), note), "it is cut off or damaged")
	require.ErrorContains(t, ReadNumbers(strings.NewReader("\xff\xfe1"), note), "UTF-16")
}

// cutAt leaves of each text what is before the mark.
func cutAt(texts []string, mark string) (cut []string) {
	for _, text := range texts {
		before, _, _ := strings.Cut(text, mark)
		cut = append(cut, before)
	}
	return cut
}
