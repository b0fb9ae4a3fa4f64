package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patient is watchNumbers, for tests.
const patient = 2 * watchQuiet

// A change of a numbers file is a change of the config that names it.
func TestWatchNumbersFiles(t *testing.T) {
	const names = "groups: [{name: g, numbers_file: [a.csv, far/b.csv]}]\n"
	for _, c := range []struct {
		name  string
		steps func(t *testing.T, path, a, b string, w *watched)
	}{
		{"written in place", func(t *testing.T, _, a, b string, w *watched) {
			write(t, a, "2")
			w.onceNumbers()
			write(t, b, "3")
			w.onceNumbers()
		}},
		{"the same content", func(t *testing.T, _, a, _ string, w *watched) {
			write(t, a, "1")
			w.nothingNumbers()
		}},
		{"renamed over", func(t *testing.T, _, a, _ string, w *watched) {
			for _, text := range []string{"2", "3"} {
				write(t, a+".new", text)
				require.NoError(t, os.Rename(a+".new", a))
				w.onceNumbers()
			}
		}},
		{"gone, empty, and there again", func(t *testing.T, _, a, b string, w *watched) {
			require.NoError(t, os.Remove(a))
			write(t, b, "")
			w.nothingNumbers()
			write(t, a, "1")
			w.nothingNumbers()
			write(t, b, "2")
			w.onceNumbers()
		}},
		{"its directory made anew", func(t *testing.T, _, _, b string, w *watched) {
			require.NoError(t, os.RemoveAll(filepath.Dir(b)))
			w.nothingNumbers()
			require.NoError(t, os.Mkdir(filepath.Dir(b), 0o755))
			write(t, b, "2")
			w.onceNumbers()
		}},
		{"written slowly", func(t *testing.T, _, a, _ string, w *watched) {
			file, err := os.Create(a)
			require.NoError(t, err)
			defer file.Close()
			for written := 0; written < 24; written++ { // longer than the config itself may take
				_, err := file.WriteString("+1\n")
				require.NoError(t, err)
				began := time.Now()
				time.Sleep(patient / 5)
				if time.Since(began) > patient/2 && len(w.changed) > 0 { // a machine so busy that it was quiet: once more
					<-w.changed
					written = -1
				}
				require.Empty(t, w.changed)
			}
			w.onceNumbers()
		}},
		{"another one is named", func(t *testing.T, path, a, _ string, w *watched) {
			write(t, path, "groups: [{name: g, numbers_file: c.csv}]\n")
			w.onceNumbers() // it is not there yet: the reload says so
			write(t, a, "2")
			w.nothingNumbers()
			write(t, filepath.Join(filepath.Dir(path), "c.csv"), "2")
			w.onceNumbers()
		}},
		{"none is named while the config is not YAML", func(t *testing.T, path, a, _ string, w *watched) {
			write(t, path, names+"]")
			w.onceNumbers()
			write(t, a, "2")
			w.onceNumbers()
			write(t, path, names)
			w.onceNumbers()
		}},
		{"other files of the directory", func(t *testing.T, _, a, _ string, w *watched) {
			write(t, a+"~", "2")
			w.nothingNumbers()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := withFiles(t, "tandem.yaml", names, "a.csv", "1")
			a, b := filepath.Join(filepath.Dir(path), "a.csv"), filepath.Join(filepath.Dir(path), "far", "b.csv")
			require.NoError(t, os.Mkdir(filepath.Dir(b), 0o755))
			write(t, b, "1")
			w := startPatient(t, path, patient)
			c.steps(t, path, a, b, w)
			w.nothing()
		})
	}
}

// onceNumbers waits for one call. That there is no other is seen at the end.
func (w *watched) onceNumbers() {
	w.t.Helper()
	select {
	case <-w.changed:
	case err := <-w.ended:
		w.t.Fatal("ended:", err)
	case <-time.After(soon):
		w.t.Fatal("not told of a change")
	}
}

func (w *watched) nothingNumbers() {
	w.t.Helper()
	time.Sleep(patient - watchQuiet)
	w.nothing()
}

// A file that did not change since it was quiet is not read again.
func TestSeenReadsOnce(t *testing.T) {
	path := withFiles(t, "tandem.yaml", "groups: [{name: g, numbers_file: a.csv}]\n", "a.csv", "1")
	a := filepath.Join(filepath.Dir(path), "a.csv")
	long := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(a, long, long))
	s := &seen{path: path}
	first, err := s.look()
	require.NoError(t, err)
	write(t, a, "2")
	require.NoError(t, os.Chtimes(a, long, long)) // nothing shows that it changed
	again, err := s.look()
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.NoError(t, os.Chtimes(a, time.Time{}, long.Add(time.Minute)))
	other, err := s.look()
	require.NoError(t, err)
	require.NotEqual(t, first, other)

	// One that changed just now is.
	write(t, a, "3")
	third, err := s.look()
	require.NoError(t, err)
	now, err := os.Stat(a)
	require.NoError(t, err)
	write(t, a, "4")
	require.NoError(t, os.Chtimes(a, time.Time{}, now.ModTime()))
	fourth, err := s.look()
	require.NoError(t, err)
	require.NotEqual(t, third, fourth)
}
