//go:build linux

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A node is killed again and again while a client changes its store: every
// change that was acknowledged is there afterwards, the one that was not is
// there whole or not at all, and the store opens every time.
func TestE2E_KilledWhileManaged(t *testing.T) {
	t.Parallel()
	changes := 400
	if text := os.Getenv("MANAGE_CHANGES"); text != "" { // make manage-soak
		var err error
		changes, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	killedWhileManaged(t, changes)
}

const managedConfig = `
store: {path: tandem.db}
health: {probe: false}
quotas: {groups: 0}
`

// account is what a client knows of a node's store: what was acknowledged.
type account struct {
	numbers map[string]string // by number: the group that it belongs to, "" unassigned
	ranking []string          // of the first group
	name    string            // of the first group
}

func (a account) clone() account {
	a.numbers = maps.Clone(a.numbers)
	return a
}

// client changes a node's store over HTTP.
type client struct {
	t    *testing.T
	base string
	http http.Client
}

// do returns what became of a request; 0 when the node died meanwhile.
func (c *client) do(method, path string, body, answer any) int {
	c.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(c.t, err)
	req, err := http.NewRequest(method, c.base+path, bytes.NewReader(text))
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	text, err = io.ReadAll(res.Body)
	if err != nil {
		return 0 // cut off: nobody was told
	}
	require.Less(c.t, res.StatusCode, 300, "%s %s: %s", method, path, text)
	if answer != nil {
		require.NoError(c.t, json.Unmarshal(text, answer))
	}
	return res.StatusCode
}

// state reads what the node has.
func (c *client) state() account {
	c.t.Helper()
	a := account{numbers: make(map[string]string)}
	var groups struct {
		Groups []struct {
			Name       string
			Connectors []struct {
				Connector string
				Priority  int
			}
		}
	}
	require.Equal(c.t, http.StatusOK, c.do("GET", "/v1/groups", nil, &groups))
	for _, g := range groups.Groups {
		if g.Name == "sales" {
			continue
		}
		require.Empty(c.t, a.name, "two groups of the first one's numbers")
		a.name = g.Name
		a.ranking = make([]string, len(g.Connectors))
		for _, m := range g.Connectors {
			a.ranking[m.Priority-1] = m.Connector
		}
	}
	for query := "?limit=1000"; ; {
		var page struct {
			Numbers []struct {
				Number string
				Owner  *struct{ Group string }
			}
			Next string
		}
		require.Equal(c.t, http.StatusOK, c.do("GET", "/v1/numbers"+query, nil, &page))
		for _, n := range page.Numbers {
			a.numbers[n.Number] = ""
			if n.Owner != nil {
				a.numbers[n.Number] = n.Owner.Group
			}
		}
		if page.Next == "" {
			return a
		}
		query = "?limit=1000&after=" + url.QueryEscape(page.Next)
	}
}

// change makes a random change, and returns what the account is after it, and
// whether it was acknowledged.
func (c *client) change(rnd *rand.Rand, a account, i int) (account, bool) {
	c.t.Helper()
	next := a.clone()
	switch kind := rnd.IntN(10); {
	case kind == 0:
		next.name = fmt.Sprintf("support %d", i)
		for n, owner := range a.numbers {
			if owner == a.name {
				next.numbers[n] = next.name
			}
		}
		return next, c.do("PATCH", "/v1/groups/"+url.PathEscape(a.name), map[string]string{"name": next.name}, nil) != 0
	case kind == 1:
		next.ranking = []string{a.ranking[1], a.ranking[0]}
		return next, c.do("PUT", "/v1/groups/"+url.PathEscape(a.name)+"/ranking", map[string]int{next.ranking[0]: 1, next.ranking[1]: 2}, nil) != 0
	default:
		owner := []string{a.name, "sales"}[rnd.IntN(2)]
		var numbers []string
		for range 1 + rnd.IntN(50) {
			n := fmt.Sprintf("+1555%07d", rnd.IntN(2_000))
			numbers = append(numbers, n)
			next.numbers[n] = owner
		}
		return next, c.do("POST", "/v1/numbers/assign",
			map[string]any{"numbers": numbers, "to": map[string]string{"group": owner}, "force": true, "add": true}, nil) != 0
	}
}

func killedWhileManaged(t *testing.T, changes int) {
	l := newLab(t)
	n := l.serve(managedConfig)
	c := &client{t: t, base: "http://" + n.admin, http: http.Client{Timeout: patience}}
	for i, name := range []string{"first", "second"} {
		c.do("POST", "/v1/connectors", map[string]any{"name": name, "region": name, "hosts": []any{map[string]string{"uri": l.place(fmt.Sprintf("sip:127.0.0.1%d:5060", i+1))}}}, nil)
	}
	for _, name := range []string{"support", "sales"} {
		c.do("POST", "/v1/groups", map[string]any{"name": name, "connectors": []any{
			map[string]any{"connector": "first", "priority": 1}, map[string]any{"connector": "second", "priority": 2},
		}}, nil)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	known := c.state()
	require.Equal(t, account{numbers: map[string]string{}, ranking: []string{"first", "second"}, name: "support"}, known)

	kills, lost, kept := 0, 0, 0
	for made := 0; made < changes; kills++ {
		time.AfterFunc(time.Duration(rnd.Int64N(int64(300*time.Millisecond))), func() { _ = n.cmd.Process.Kill() })
		var next account
		for done := true; done; {
			if next, done = c.change(rnd, known, made); done {
				known = next
				made++
			}
		}
		n.wait(patience)
		c.http.CloseIdleConnections()
		n.start()
		switch is := c.state(); {
		case equal(is, known):
			lost++
		default:
			require.Equal(t, next, is, "the last change is there whole or not at all, and all before it are")
			kept++
			known = next
		}
	}
	t.Logf("%d changes, %d kills: of the changes that were not acknowledged %d were made and %d were not", changes, kills, kept, lost)
}

func equal(a, b account) bool {
	return a.name == b.name && maps.Equal(a.numbers, b.numbers) && fmt.Sprint(a.ranking) == fmt.Sprint(b.ranking)
}
