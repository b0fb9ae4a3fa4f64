package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	soon  = 10 * time.Second // a call that has to come
	never = watchQuiet + 250*time.Millisecond
)

// watched is a running Watch.
type watched struct {
	t       *testing.T
	changed chan struct{}
	ended   chan error
	cancel  context.CancelFunc
}

func startWatch(t *testing.T, path string) *watched {
	return startPatient(t, path, watchNumbers)
}

// startPatient waits for numbers files to be quiet for a time.
func startPatient(t *testing.T, path string, patient time.Duration) *watched {
	w := &watched{t: t, changed: make(chan struct{}, 100), ended: make(chan error, 1)}
	// The two steps of Watch, so that the test goes on when it watches.
	before, _ := (&seen{path: path}).look() // a file that is not there yet may come
	state, err := newWatch(path, before)
	require.NoError(t, err)
	state.patient = patient
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	go func() {
		defer state.events.Close()
		w.ended <- state.run(ctx, func() { w.changed <- struct{}{} })
	}()
	t.Cleanup(w.cancel)
	return w
}

// once waits for one call and for no second one.
func (w *watched) once() {
	w.t.Helper()
	select {
	case <-w.changed:
	case err := <-w.ended:
		w.t.Fatal("ended:", err)
	case <-time.After(soon):
		w.t.Fatal("not told of a change")
	}
	w.nothing()
}

func (w *watched) nothing() {
	w.t.Helper()
	select {
	case <-w.changed:
		w.t.Fatal("told of a change that is none, or twice of one")
	case err := <-w.ended:
		w.t.Fatal("ended:", err)
	case <-time.After(never):
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func link(t *testing.T, to, path string) {
	t.Helper()
	require.NoError(t, os.Symlink(to, path))
}

// swap puts a link in the place of another at once, as Kubernetes does.
func swap(t *testing.T, to, path string) {
	t.Helper()
	link(t, to, path+"_tmp")
	require.NoError(t, os.Rename(path+"_tmp", path))
}

func TestWatch(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps func(t *testing.T, path string, w *watched)
	}{
		{"written in place", func(t *testing.T, path string, w *watched) {
			write(t, path, "b")
			w.once()
			write(t, path, "c")
			w.once()
		}},
		{"the same content", func(t *testing.T, path string, w *watched) {
			write(t, path, "a")
			w.nothing()
			require.NoError(t, os.Chmod(path, 0o600))
			w.nothing()
		}},
		{"renamed over", func(t *testing.T, path string, w *watched) {
			for _, text := range []string{"b", "c"} {
				write(t, path+".new", text)
				require.NoError(t, os.Rename(path+".new", path))
				w.once()
			}
		}},
		{"moved away and written anew, as vim does", func(t *testing.T, path string, w *watched) {
			require.NoError(t, os.Rename(path, path+"~"))
			write(t, path, "b")
			require.NoError(t, os.Remove(path+"~"))
			w.once()
		}},
		{"deleted and created", func(t *testing.T, path string, w *watched) {
			require.NoError(t, os.Remove(path))
			w.nothing()
			write(t, path, "b")
			w.once()
		}},
		{"deleted and created with the same content", func(t *testing.T, path string, w *watched) {
			require.NoError(t, os.Remove(path))
			w.nothing()
			write(t, path, "a")
			w.nothing()
		}},
		{"written slowly", func(t *testing.T, path string, w *watched) {
			write(t, path, "")
			w.nothing()
			write(t, path, "b")
			w.once()
		}},
		{"other files of the directory", func(t *testing.T, path string, w *watched) {
			write(t, filepath.Join(filepath.Dir(path), "other.yaml"), "b")
			require.NoError(t, os.Mkdir(filepath.Join(filepath.Dir(path), "dir"), 0o755))
			write(t, path+".swp", "b")
			w.nothing()
		}},
		{"many writes", func(t *testing.T, path string, w *watched) {
			for i := range 20 {
				write(t, path, strings.Repeat("b", i+1))
			}
			w.once()
		}},
		{"becomes a link", func(t *testing.T, path string, w *watched) {
			far := filepath.Join(t.TempDir(), "far.yaml")
			write(t, far, "a")
			swap(t, far, path)
			w.nothing() // the same contents
			write(t, far, "b")
			w.once()
		}},
		{"the directory is made anew", func(t *testing.T, path string, w *watched) {
			dir := filepath.Dir(path)
			require.NoError(t, os.Rename(dir, dir+".old"))
			require.NoError(t, os.Mkdir(dir, 0o755))
			write(t, path, "b")
			w.once()
			write(t, path, "c")
			w.once()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "etc", "tandem.yaml")
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
			write(t, path, "a")
			c.steps(t, path, startWatch(t, path))
		})
	}
}

// A ConfigMap: tandem.yaml -> ..data/tandem.yaml, ..data -> a directory with the
// time in its name. A new one is made, ..data swapped, the old one removed.
func TestWatchConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(name, text string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		write(t, filepath.Join(dir, name, "tandem.yaml"), text)
	}
	path, data := filepath.Join(dir, "tandem.yaml"), filepath.Join(dir, "..data")
	version("..1", "a")
	link(t, "..1", data)
	link(t, "..data/tandem.yaml", path)
	w := startWatch(t, path)
	for i, name := range []string{"..2", "..3"} {
		version(name, name)
		swap(t, name, data)
		require.NoError(t, os.RemoveAll(filepath.Join(dir, []string{"..1", "..2"}[i])))
		w.once()
	}
	version("..4", "..3") // another file, the same contents
	swap(t, "..4", data)
	w.nothing()
}

// The directory of the file may be a link itself, as of releases.
func TestWatchLinkedDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"1", "2"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "releases", name), 0o755))
		write(t, filepath.Join(dir, "releases", name, "tandem.yaml"), name)
	}
	current := filepath.Join(dir, "current")
	link(t, "releases/1", current)
	w := startWatch(t, filepath.Join(current, "tandem.yaml"))
	write(t, filepath.Join(dir, "releases/1/tandem.yaml"), "1b")
	w.once()
	swap(t, filepath.Join(dir, "releases/2"), current)
	w.once()
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "releases/1")))
	w.nothing()
	write(t, filepath.Join(dir, "releases/2/tandem.yaml"), "2b")
	w.once()
}

// Writes without an end are told of all the same.
func TestWatchNeverQuiet(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tandem.yaml")
	write(t, path, "a")
	w := startWatch(t, path)
	tick := time.NewTicker(watchQuiet / 5)
	defer tick.Stop()
	deadline := time.After(soon)
	for text := "b"; ; text += "b" {
		select {
		case <-w.changed:
			return
		case <-deadline:
			t.Fatal("not told of a change")
		case <-tick.C:
			write(t, path, text)
		}
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "etc")
	path := filepath.Join(dir, "tandem.yaml")
	require.EqualError(t, Watch(context.Background(), path, [32]byte{}, nil),
		"watch "+path+": its directory "+dir+": no such file or directory")

	require.NoError(t, os.Mkdir(dir, 0o755))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, Watch(ctx, path, [32]byte{}, nil)) // the file may come later

	w := startWatch(t, path)
	write(t, path, "a")
	w.once()
	w.cancel()
	require.NoError(t, <-w.ended)

	ended := make(chan error)
	go func() { ended <- Watch(context.Background(), path, [32]byte{}, func() {}) }()
	for gone := false; !gone; { // it may not watch yet
		require.NoError(t, os.RemoveAll(dir))
		select {
		case err := <-ended:
			require.ErrorContains(t, err, dir+": no such file or directory")
			gone = true
		case <-time.After(never):
			require.NoError(t, os.MkdirAll(dir, 0o755))
		}
	}
}

// What changed between the reading of the file and the watch is told of.
func TestWatchFromWhatWasRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tandem.yaml")
	write(t, path, "recent_calls: 1")
	cfg, err := Load(path)
	require.NoError(t, err)
	write(t, path, "recent_calls: 2")
	ctx, cancel := context.WithCancel(context.Background())
	told := 0
	require.NoError(t, Watch(ctx, path, cfg.Sum, func() { told++; cancel() }))
	require.Equal(t, 1, told)
}
