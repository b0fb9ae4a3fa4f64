package store

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// filled makes a store of some hundred pages, all kinds of them, and returns its
// path.
func filled(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path, Options{})
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 1))
	m := newModel()
	for range 20 {
		c := randomChange(r, m, []inventory.Owner{nobody, east, sales})
		if m.commit(c) == nil {
			commit(t, s, c)
		}
	}
	c := inventory.Change{Catalog: m.catalog}
	for i := range 30 {
		c.Groups = append(c.Groups, inventory.GroupChange{After: &inventory.Group{
			Meta:      inventory.Meta{ID: fmt.Sprintf("a group of ID %022d", i)},
			GroupSpec: inventory.GroupSpec{Name: strings.Repeat("name", 300)}, // over several pages
		}})
	}
	commit(t, s, c)
	require.NoError(t, s.Close())
	return path
}

func TestFileOfTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing is left of how it was made")
}

// What is no store is refused in words, and is left as it is.
func TestNoStore(t *testing.T) {
	whole, err := os.ReadFile(filled(t))
	require.NoError(t, err)
	whole = whole[:highOf(t, whole)] // what is behind is room to grow
	foreign := func(synced bool) []byte {
		path := filepath.Join(t.TempDir(), "foreign.db")
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: !synced})
		require.NoError(t, err)
		require.NoError(t, db.Update(func(t *bbolt.Tx) error {
			b, err := t.CreateBucket([]byte("key"))
			if err != nil {
				return err
			}
			return b.Put([]byte("schema"), eightBytes(1))
		}))
		require.NoError(t, db.Close())
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		return data
	}
	noMeta := bytes.Clone(whole)
	clear(noMeta[:2*os.Getpagesize()])
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                {nil, "it is empty, which no store ever is; restore a backup, or remove it for a new store"},
		"text":                 {[]byte("groups: []\n"), "it is a file of another kind, or damaged at its beginning; name another file or restore a backup"},
		"long text":            {bytes.Repeat([]byte("groups: []\n"), 10_000), "it is a file of another kind"},
		"SQLite":               {append([]byte("SQLite format 3\x00"), make([]byte, 10_000)...), "it is a file of another kind"},
		"foreign":              {foreign(true), "it is a bolt file of another program; name another file"},
		"foreign, no freelist": {foreign(false), "it is a bolt file of another program; name another file"},
		"half":                 {whole[:len(whole)/2], "it is cut off: it has "},
		"one page less":        {whole[:len(whole)-1], "it is cut off: it has "},
		"two pages":            {whole[:2*os.Getpagesize()], "it is cut off: it has "},
		"half a page":          {whole[:os.Getpagesize()/2], "it is cut off: it has "},
		"no meta pages":        {noMeta, "it is a file of another kind, or damaged at its beginning"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			require.NoError(t, os.WriteFile(path, c.data, 0o600))
			_, err := Open(path, Options{})
			require.ErrorContains(t, err, "the store "+path+" is not opened: ")
			require.ErrorContains(t, err, c.want)
			_, err = Verify(path)
			require.ErrorContains(t, err, c.want)
			now, err := os.ReadFile(path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(c.data, now), "it is as it was")

			store := filepath.Join(t.TempDir(), "store.db")
			_, err = Restore(path, store)
			require.ErrorContains(t, err, " is not restored: ")
			require.NoFileExists(t, store)
		})
	}
	dir := t.TempDir()
	_, err = Open(dir, Options{})
	require.ErrorContains(t, err, "it is a directory; name a file in it")
	_, err = Restore(filled(t), dir)
	require.ErrorContains(t, err, "it is a directory; name a file in it")
	_, err = Open(filepath.Join(dir, "none", "store.db"), Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(os.DevNull, Options{})
	require.ErrorContains(t, err, "it is no regular file")
}

// highOf is how long a file of bolt has to be.
func highOf(t *testing.T, data []byte) int {
	p, err := readPages(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	return int(p.high) * int(p.size)
}

// hold opens a store, says so, and keeps it open until its input ends.
func hold(path string) {
	s, err := Open(path, Options{})
	fmt.Println("open", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = s.Close()
}

func TestLocked(t *testing.T) {
	path := filled(t)
	c := child(t, "hold", path)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "open <nil>\n", line)

	_, err = Open(path, Options{LockTimeout: time.Millisecond})
	require.ErrorContains(t, err, fmt.Sprintf("it is open in process %d (", c.Process.Pid))
	_, err = Restore(filled(t), path)
	require.ErrorContains(t, err, fmt.Sprintf("is open in process %d (", c.Process.Pid))
	_, err = Verify(path)
	require.ErrorContains(t, err, "is open in process ")

	opened := make(chan error)
	go func() { // waits for the other
		s, err := Open(path, Options{LockTimeout: time.Minute})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	require.NoError(t, in.Close())
	require.NoError(t, c.Wait())
	require.NoError(t, <-opened)
}

// A damaged file is an error of opening it, or of what meets the damage: never a
// panic, an endless wait or the end of the process.
func TestDamaged(t *testing.T) {
	whole, err := os.ReadFile(filled(t))
	require.NoError(t, err)
	whole = whole[:highOf(t, whole)]
	page := os.Getpagesize()
	pages := len(whole) / page
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(rand.Uint64(), 1))
	opened, verified := 0, 0
	for i := range damages {
		data := bytes.Clone(whole)
		at := r.IntN(len(data))
		if r.IntN(2) == 0 { // where pages say what is in them
			at = r.IntN(pages)*page + r.IntN(200)
		}
		what := r.IntN(6)
		switch what {
		case 0:
			data[at] ^= 1 << r.IntN(8)
		case 1:
			data[at] = byte(r.Uint32())
		case 2:
			for j := range data[at:min(at+8, len(data))] {
				data[at+j] = byte(r.Uint32())
			}
		case 3:
			clear(data[at/page*page : at/page*page+page])
		case 4:
			copy(data[at/page*page:], data[r.IntN(pages)*page:][:page])
		case 5:
			for range 5 {
				data[r.IntN(len(data))] ^= byte(r.Uint32())
			}
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.WriteFile(path, data, 0o600))
		if _, err := Verify(path); err == nil {
			verified++
		}
		s, err := Open(path, Options{})
		if err != nil {
			require.ErrorContains(t, err, "the store "+path+" is not opened: ")
			require.NoError(t, os.Remove(path))
			continue
		}
		opened++
		_, _, _ = s.Snapshot(t.Context())
		_, _ = s.Each(t.Context(), func(inventory.Number) error { return nil })
		for _, q := range []Query{{}, {Owner: &east}, {Owner: &sales, Digits: "+155"}} {
			q.Limit = 10_000
			_, _ = s.Numbers(t.Context(), q)
		}
		changes := inventory.Change{}
		if snap, _, err := s.Snapshot(t.Context()); err == nil {
			changes.Catalog = snap.Revision
		}
		var some []catalog.Entry
		for range 200 {
			some = append(some, randomEntry(r))
		}
		if found, err := s.Find(t.Context(), some); err == nil {
			seen := make(map[catalog.Entry]bool)
			for _, n := range found {
				if n != nil && !seen[n.Entry] {
					seen[n.Entry] = true
					changes.Numbers = append(changes.Numbers, inventory.NumberChange{Before: n})
				}
			}
		}
		_, _ = s.Commit(t.Context(), changes)
		_, _ = s.Commit(t.Context(), adding(t, changes.Catalog, east, "+19990000000"))
		_ = s.Close()
		require.NoError(t, os.Remove(path))
	}
	t.Logf("of %d damaged files %d opened, %d were found sound", damages, opened, verified)
}

// A file that somebody cuts off while it is open ends nothing but the store.
func TestCutOffWhileOpen(t *testing.T) {
	for _, left := range []int64{0, 2 * int64(os.Getpagesize())} {
		path := filled(t)
		s, err := Open(path, Options{})
		require.NoError(t, err)
		snap, _ := snapshot(t, s)
		require.NoError(t, os.Truncate(path, left))
		for range 2 {
			_, err = s.Each(t.Context(), func(inventory.Number) error { return nil })
			require.ErrorIs(t, err, errDamaged)
			_, _, err = s.Snapshot(t.Context())
			require.ErrorIs(t, err, errDamaged)
			_, err = s.Commit(t.Context(), adding(t, snap.Revision, east, "+1999000111"))
			require.ErrorIs(t, err, errDamaged)
		}
		require.NoError(t, s.Close())
	}
}
