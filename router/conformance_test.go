package router

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// testdata/conformance.yaml lists what the RFCs ask of a proxy, and
// the tests that hold it. CONFORMANCE.md is made from it.

var updateConformance = flag.Bool("update", false, "write CONFORMANCE.md anew")

// clause is one or more sections of an RFC about one thing.
type clause struct {
	RFC          int           `yaml:"rfc"`
	Section      string        `yaml:"section"`
	Title        string        `yaml:"title"`
	Requirements []requirement `yaml:"requirements"`
}

// requirement has exactly one verdict: it passes when it has tests and none of
// the reasons against.
type requirement struct {
	ID    string   `yaml:"id"` // of the step within the RFC, as in 16.6-8
	Level string   `yaml:"level"`
	Text  string   `yaml:"text"`
	Tests []string `yaml:"tests"` // of the packages below with their name in front, as in wire.TestParseVia
	// Why it does not apply; why it is done otherwise on purpose, and then the
	// tests show how; what is wrong about it.
	NA      string `yaml:"na"`
	Departs string `yaml:"departs"`
	Open    string `yaml:"open"`
}

func (q *requirement) verdict() string {
	switch {
	case q.NA != "":
		return "does not apply: " + q.NA
	case q.Departs != "":
		return "**departs**: " + q.Departs
	case q.Open != "":
		return "**not met**: " + q.Open
	}
	return "pass"
}

func readConformance(t *testing.T) (list []clause) {
	f, err := os.Open("testdata/conformance.yaml")
	require.NoError(t, err)
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	require.NoError(t, d.Decode(&list))
	return list
}

// testNames are the tests of this package and of those below that read and
// carry messages for it.
func testNames(t *testing.T) map[string]bool {
	names := map[string]bool{}
	for dir, prefix := range map[string]string{".": "", "wire": "wire.", "transport": "transport.", "transport/stream": "stream."} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		require.NoError(t, err)
		for _, file := range files {
			tree, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, d := range tree.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
					names[prefix+f.Name.Name] = true
				}
			}
		}
	}
	return names
}

func TestConformance(t *testing.T) {
	list, tests := readConformance(t), testNames(t)
	ids, named := map[string]bool{}, map[string]bool{}
	for _, c := range list {
		require.NotEmpty(t, c.Title, "RFC %d %s", c.RFC, c.Section)
		for _, q := range c.Requirements {
			id := fmt.Sprintf("%d-%s", c.RFC, q.ID)
			require.False(t, ids[id], "%s is there twice", id)
			ids[id] = true
			require.Contains(t, []string{"MUST", "SHOULD", "design"}, q.Level, id)
			require.NotEmpty(t, q.Text, id)
			reasons := 0
			for _, r := range []string{q.NA, q.Departs, q.Open} {
				if r != "" {
					reasons++
				}
			}
			require.LessOrEqual(t, reasons, 1, "%s has two verdicts", id)
			if q.NA == "" && q.Open == "" {
				require.NotEmpty(t, q.Tests, "%s has no test", id)
			}
			for _, name := range q.Tests {
				require.True(t, tests[name], "%s: there is no %s", id, name)
				named[name] = true
			}
		}
	}
	for name := range tests {
		if strings.HasPrefix(name, "TestRFC") {
			require.True(t, named[name], "no requirement names %s", name)
		}
	}
	page := conformancePage(list)
	if *updateConformance {
		require.NoError(t, os.WriteFile("CONFORMANCE.md", []byte(page), 0o644))
	}
	written, err := os.ReadFile("CONFORMANCE.md")
	require.NoError(t, err)
	require.Equal(t, page, string(written), "go test ./router -run TestConformance -update")
}

func conformancePage(list []clause) string {
	var b, tables strings.Builder
	counts, named := map[string]int{}, map[string]bool{}
	for _, c := range list {
		fmt.Fprintf(&tables, "\n## RFC %d, %s: %s\n\n| clause | level | requirement | tests | verdict |\n|---|---|---|---|---|\n", c.RFC, c.Section, c.Title)
		for _, q := range c.Requirements {
			verdict := q.verdict()
			kind, _, _ := strings.Cut(verdict, ":")
			counts[strings.Trim(kind, "*")]++
			var tests []string
			for _, name := range q.Tests {
				named[name] = true
				tests = append(tests, "`"+strings.Replace(name, "Test", "", 1)+"`")
			}
			fmt.Fprintf(&tables, "| %s | %s | %s | %s | %s |\n", q.ID, q.Level, cell(q.Text), strings.Join(tests, " "), cell(verdict))
		}
	}
	all := 0
	for _, n := range counts {
		all += n
	}
	fmt.Fprint(&b, "# What the RFCs ask of a proxy, and the tests that hold it\n\n",
		"Made by `go test ./router -run TestConformance -update` from testdata/conformance.yaml; the requirements are told in our own words.\n",
		"*pass*: the tests named are there, and they run with every test run, so that a failing one fails the build. *departs*: it is done\n",
		"otherwise on purpose; the tests show how. *not met*: known to be wrong. Test names are without their `Test` in front.\n\n",
		"| | |\n|---|---|\n")
	fmt.Fprintf(&b, "| requirements | %d |\n", all)
	for _, kind := range []string{"pass", "departs", "not met", "does not apply"} {
		fmt.Fprintf(&b, "| %s | %d |\n", kind, counts[kind])
	}
	fmt.Fprintf(&b, "| tests named | %d, of them %d after a clause |\n", len(named), countFunc(named, func(s string) bool { return strings.Contains(s, "TestRFC") }))
	b.WriteString(tables.String())
	return b.String()
}

func countFunc(names map[string]bool, is func(string) bool) (n int) {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if is(name) {
			n++
		}
	}
	return n
}

// cell is text fit for a table.
func cell(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "|", "\\|") }
