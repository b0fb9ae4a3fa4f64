package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSameNumbers(t *testing.T) {
	set := func(numbers ...string) *NumberSet {
		s := new(NumberSet)
		s.Begin("numbers.csv", 0)
		for i, n := range numbers {
			e, err := ParseEntry([]byte(n))
			require.NoError(t, err)
			s.Add(e, i+1)
		}
		s.Seal()
		return s
	}
	list := []Numbers{{First: "100"}, {Kind: Range, First: "200", Last: "299"}}
	base := func() *Catalog {
		return &Catalog{
			Connectors: []Connector{{Name: "east", Numbers: []Numbers{{First: "300"}}}, {Name: "west"}},
			Groups:     []Group{{Name: "support", Numbers: list}, {Name: "sales", FileNumbers: set("1", "2", "3*")}},
		}
	}
	require.True(t, base().SameNumbers(base()))

	same := base()
	same.Groups[0], same.Groups[1] = same.Groups[1], same.Groups[0]
	same.Groups[0].FileNumbers = set("2", "1", "3*")
	same.Connectors = append(same.Connectors, Connector{Name: "north"})
	same.Groups[1].Connectors = []Member{{Connector: "north", Priority: 1}}
	require.True(t, base().SameNumbers(same), "the order, and what has no numbers, do not count")

	for name, change := range map[string]func(c *Catalog){
		"a group of another name":    func(c *Catalog) { c.Groups[0].Name = "help" },
		"a number more":              func(c *Catalog) { c.Connectors[1].Numbers = []Numbers{{First: "301"}} },
		"a number less":              func(c *Catalog) { c.Connectors[0].Numbers = nil },
		"another number":             func(c *Catalog) { c.Connectors[0].Numbers = []Numbers{{First: "301"}} },
		"another number of a file":   func(c *Catalog) { c.Groups[1].FileNumbers = set("1", "4", "3*") },
		"a prefix for a number":      func(c *Catalog) { c.Groups[1].FileNumbers = set("1", "2", "3") },
		"no file":                    func(c *Catalog) { c.Groups[1].FileNumbers = nil },
		"a connector for a group":    func(c *Catalog) { c.Connectors[1].Numbers, c.Groups[0].Numbers = c.Groups[0].Numbers, nil },
		"numbers that are not ready": func(c *Catalog) { c.Groups[1].FileNumbers.files = []sourceFile{{}} },
	} {
		c := base()
		change(c)
		require.False(t, base().SameNumbers(c), name)
		require.False(t, c.SameNumbers(base()), name)
	}
}
