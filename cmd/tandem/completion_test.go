package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompletion(t *testing.T) {
	node := newScripted(t, map[string]string{
		"GET /v1/groups":          `200 {"groups":[` + support + "," + empty + `]}`,
		"GET /v1/connectors":      `200 {"connectors":[` + east + `,{"name":"my west"}]}`,
		"GET /v1/connectors/east": "200 " + east,
	})
	for typed, want := range map[string]string{
		"group show ":                          "empty support :4",
		"group show su":                        "support :4",
		"group show support ":                  ":4",
		"group add-connector support ":         "east= my west= :6",
		"group set-priority support east=1 my": "my west= :6",
		"group remove-connector support ea":    "east :4",
		"group create x --connector ":          "east= my west= :6",
		"connector drain ea":                   "east :4",
		"connector remove-host east ":          "sip:10.0.1.10:5060 sip:10.0.1.11 :4",
		"number assign +1555 --group ":         "empty support :4",
		"number move --from-connector ea":      "east :4",
		"number list -o ":                      "table json lines :4",
		"group list --output ":                 "table json :4",
		"number import ":                       ":0", // files
	} {
		words := strings.Split(typed, " ")
		words = append([]string{"__complete", words[0], words[1], "--admin", node.URL}, words[2:]...)
		out, _, code := command(t, words...)
		require.Equal(t, 0, code)
		require.Equal(t, want, strings.Join(strings.Split(strings.TrimSpace(out), "\n"), " "), typed)
	}
}

// A node that cannot be asked, or wants a key, completes nothing and says nothing.
func TestCompletionIsSilent(t *testing.T) {
	node := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) })
	for _, at := range []string{node.URL, "127.0.0.1:1"} {
		out, _, code := command(t, "__complete", "group", "show", "--admin", at, "")
		require.Equal(t, 0, code)
		require.Equal(t, ":4\n", out)
	}
	hangs := newFakeNode(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	out, _, _ := command(t, "__complete", "group", "show", "--admin", hangs.URL, "")
	require.Equal(t, ":4\n", out)
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		out, errs, code := command(t, "completion", shell)
		require.Equal(t, 0, code, errs)
		require.Contains(t, out, "tandem")
	}
}
