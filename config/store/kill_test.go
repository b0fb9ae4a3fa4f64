package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// child is this test in a process of its own that does what TestMain says.
func child(t testing.TB, what, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self, "-test.run=^$")
	c.Env = append(os.Environ(), "STORE_CHILD="+what, "STORE_PATH="+path)
	c.Stderr = os.Stderr
	return c
}

// What a store has at a revision is known from the revision alone: the numbers of
// the last ten commits, each of which has its own, and a connector of its name.
const killedKept, killedEach = 10, 40

func killedNumbers(revision uint64) (all []catalog.Entry) {
	r := rand.New(rand.NewPCG(revision, 1))
	for i := range killedEach {
		all = append(all, catalog.Entry{First: number.Key(21_000_000_000 + r.Uint64N(1000)*1_000_000 + revision%1000*1000 + uint64(i))})
	}
	return append(all, catalog.Entry{Kind: catalog.Prefix, First: number.Key(20_000_000 + revision%1_000_000)})
}

func killedOwner(revision uint64) inventory.Owner {
	return inventory.Owner{Kind: inventory.GroupOwner, ID: fmt.Sprint("g", revision%3)}
}

// killedChange is the commit of a revision, to a store as it is before.
func killedChange(s Store, revision uint64) (c inventory.Change, err error) {
	ctx := context.Background()
	snap, _, err := s.Snapshot(ctx)
	if err != nil {
		return c, err
	}
	c.Catalog = snap.Revision
	named := inventory.ConnectorChange{After: &inventory.Connector{Meta: inventory.Meta{ID: "c"}, ConnectorSpec: inventory.ConnectorSpec{Name: fmt.Sprint(revision)}}}
	if len(snap.Connectors) > 0 {
		named.Before = &snap.Connectors[0]
	}
	c.Connectors = []inventory.ConnectorChange{named}
	for _, e := range killedNumbers(revision) {
		c.Numbers = append(c.Numbers, inventory.NumberChange{After: &inventory.Number{Entry: e, Owner: killedOwner(revision), Created: someTime, Updated: someTime}})
	}
	if revision <= killedKept {
		return c, nil
	}
	old, err := s.Find(ctx, killedNumbers(revision-killedKept))
	for _, n := range old {
		c.Numbers = append(c.Numbers, inventory.NumberChange{Before: n})
	}
	return c, err
}

// commitForever prints the revision of each commit once it is acknowledged.
func commitForever(path string) {
	s, err := Open(path, Options{})
	if err == nil {
		var revision uint64
		_, revision, err = s.Snapshot(context.Background())
		for err == nil {
			var c inventory.Change
			if c, err = killedChange(s, revision+1); err != nil {
				break
			}
			if revision, err = s.Commit(context.Background(), c); err == nil {
				fmt.Println(revision)
			}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A process that is killed at any moment loses nothing that it acknowledged, and
// leaves nothing half done.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	r := rand.New(rand.NewPCG(rand.Uint64(), 0))
	acknowledged := uint64(0)
	for range kills {
		c := child(t, "commit", path)
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		lines := bufio.NewScanner(out)
		for n := r.IntN(40); n > 0 && lines.Scan(); n-- {
			acknowledged, err = strconv.ParseUint(lines.Text(), 10, 64)
			require.NoError(t, err)
		}
		require.NoError(t, c.Process.Kill())
		for lines.Scan() { // what it had still said
			text := lines.Text()
			revision, err := strconv.ParseUint(text, 10, 64)
			require.NoError(t, err)
			acknowledged = revision
		}
		err = c.Wait()
		require.ErrorContains(t, err, "signal: killed")
		if _, err := os.Stat(path); err == nil {
			_, err := Verify(path)
			require.NoError(t, err)
		}
		s, err := Open(path, Options{})
		require.NoError(t, err)
		requireKilled(t, s, acknowledged)
		require.NoError(t, s.Close())
	}
	t.Logf("%d commits, %d kills", acknowledged, kills)
}

// requireKilled holds a store against what it has to have.
func requireKilled(t *testing.T, s Store, acknowledged uint64) {
	snap, revision := snapshot(t, s)
	require.GreaterOrEqual(t, revision, acknowledged, "what was acknowledged")
	require.LessOrEqual(t, revision, acknowledged+1, "and one that may not have come through")
	if revision == 0 {
		return
	}
	require.Equal(t, fmt.Sprint(revision), snap.Connectors[0].Name)
	want, counts := make([]string, 0), make(map[inventory.Owner]int)
	for r := revision; r > 0 && r+killedKept > revision; r-- {
		for _, e := range killedNumbers(r) {
			want = append(want, fmt.Sprint(e, killedOwner(r), r))
			counts[killedOwner(r)]++
		}
	}
	require.Equal(t, counts, snap.Counts)
	var got []string
	_, err := s.Each(t.Context(), func(n inventory.Number) error {
		got = append(got, fmt.Sprint(n.Entry, n.Owner, n.Revision))
		return nil
	})
	require.NoError(t, err)
	slices.SortFunc(want, strings.Compare)
	slices.SortFunc(got, strings.Compare)
	require.Equal(t, want, got)
}
