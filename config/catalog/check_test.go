package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The messages for files are held by the test data of package config; here is
// what a file cannot hold.
func TestCheckNumbersNotParsed(t *testing.T) {
	c := &Catalog{Groups: []Group{{Name: "a", Numbers: []Numbers{
		{},
		{First: "1a"},
		{Kind: Prefix, First: "*"},
		{Kind: Range, First: "100", Last: ""},
		{Kind: Range, First: "100", Last: "+99"},
		{First: "1"},
	}}}}
	var paths []string
	for _, p := range c.Check() {
		if !p.Warning {
			paths = append(paths, p.Path)
		}
	}
	require.Equal(t, []string{"groups[0].numbers[0]", "groups[0].numbers[1]", "groups[0].numbers[2]", "groups[0].numbers[3]", "groups[0].numbers[4]"}, paths)
}

func TestCheckEmptyIsLegal(t *testing.T) {
	require.Empty(t, (&Catalog{}).Check())
	require.Empty(t, (&Catalog{Groups: []Group{{Name: "empty"}}}).Check())
}

func TestNearest(t *testing.T) {
	names := []string{"hosts", "region", "support-east", "support-west"}
	for word, want := range map[string]string{
		"host": "hosts", "hsots": "hosts", "Region": "region", "suport-eest": "support-east", "support-wst": "support-west",
		"": "", "x": "", "colour": "", "support": "",
	} {
		require.Equal(t, want, Nearest(word, names), word)
	}
}
