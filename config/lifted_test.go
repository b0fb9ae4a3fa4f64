package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is lifted out of a document is read as what is not, and its mistakes have
// the same places.
func TestLifted(t *testing.T) {
	for _, test := range []struct {
		name, text string
		runs       int // that are lifted
	}{
		{"one list", "groups:\n- name: a\n  numbers:\n  - 11111\n  - \"+11112\"\n  - 11113\n", 1},
		{"no line end", "numbers:\n- 11111\n- 11112", 1},
		{"windows", "numbers:\r\n- 11111\r\n- 11112\r\n", 1},
		{"old macintosh", "numbers:\r- 11111\n- 11112\n- 11113\n", 0},
		{"many lists", "connectors:\n- name: a\n  numbers:\n  - 11111\n  - 11112\n- name: b\n  numbers:\n  - 21111\n  - 21112\nnumbers:\n- 31111\n- 31112\n", 3},
		{"interrupted", "numbers:\n- 11111\n- 11112\n\n- 12345\n- 12346\n- 7*\n# more\n- 11113\n- 11114\n- 5\n- 6\n", 3},
		{"short", "numbers:\n- 1111\n- 1112\n- +1112\n", 0},
		{"status codes", "failover:\n  codes:\n  - 500\n  - 503\n", 0},
		{"no list of numbers", "trunks:\n- 11111\n- 11112\nnumbers:\n- 11111\n- 11112\n", 2},
		{"in a text", "groups:\n- name: >-\n    - 11111\n    - 11112\n", 1},
		{"in a plain text", "groups:\n- name: a\n    - 11111\n    - 11112\n", 1},
		{"a second name", "groups:\n- name: a\n  numbers: &a\n  - 11111\n  - 11112\n- name: b\n  numbers: *a\n", 1},
		{"indented otherwise", "numbers:\n- 11111\n - 11112\n - 11113\n", 1},
		{"too long", "numbers:\n- 5\n- 11111\n- 11112\n- 1111111111111111\n- 9\n- x\n- 11113\n- 11114\n- 1111111111111112\n- y\n", 2},
		{"twice", "groups:\n- name: a\n  numbers:\n  - 11111\n  - 11112\n  - 11111\n  - 4\n  - 11113\n  - 11112\n  - 11111\n", 2},
		{"two owners", "groups:\n- name: a\n  numbers:\n  - 11111\n  - 11112\n- name: b\n  numbers:\n  - 21111\n  - 11112\nnumbers:\n- 1\n- 11112\n- 11111\n", 3},
		{"elsewhere", "groups:\n- name: a\n  numbers:\n  - 11111\n  - 11112\n  nmae: a\n", 1},
		{"syntax", "numbers:\n- 11111\n- 11112\n- [\n", 1},
		{"a file too", "numbers_file: a.txt\nnumbers:\n- 11111\n- 11112\n- 11112\n", 1},
		{"none", "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			thin, runs := lift([]byte(test.text), 2)
			require.Len(t, runs.runs, test.runs)
			require.Equal(t, strings.Count(test.text, "\n"), strings.Count(string(thin), "\n"))
			want, wantErr := parseInventory("a.yaml", []byte(test.text), ImportOptions{}, 0)
			got, err := parseInventory("a.yaml", []byte(test.text), ImportOptions{}, 2)
			if wantErr != nil {
				require.EqualError(t, err, wantErr.Error())
				return
			}
			require.NoError(t, err)
			require.Equal(t, want.Groups, got.Groups)
			require.Equal(t, imported(t, want), imported(t, got))
		})
	}
}

// Of very many mistakes some are named.
func TestLiftedMistakes(t *testing.T) {
	var b strings.Builder
	b.WriteString("numbers:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "- 1%015d\n", i)
	}
	_, err := ParseInventory("a.yaml", []byte(b.String()), ImportOptions{})
	errs := err.(Errors)
	require.Len(t, errs, 22)
	require.EqualError(t, errs[0], `a.yaml:2: numbers[0]: "1000000000000000" has more than 15 digits, the longest that E.164 allows`)
	require.EqualError(t, errs[20], `a.yaml:22: numbers[20]: "1000000000000020" has more than 15 digits, the longest that E.164 allows`)
	require.EqualError(t, errs[21], `a.yaml: numbers: and 979 more like these`)
}
