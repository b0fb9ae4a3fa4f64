package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How long a change has to be over before it is told, and how long it may go
// on: one save is many events.
const (
	watchQuiet = 250 * time.Millisecond
	watchMost  = 2 * time.Second
)

// Watch calls changed each time that the file at path has other contents than
// before; sum is that of the contents that were read last, Config.Sum. It leaves
// it to others to understand the file. A file that is gone or empty is not a
// change until it is there again: it is about to be written. changed is called
// by Watch itself, one call at a time.
//
// It watches the directory and not the file, since editors, git and Kubernetes
// put a new file or link in its place; and so for each link on the way. It
// returns nil when ctx ends, else why it can see no more changes.
func Watch(ctx context.Context, path string, sum [sha256.Size]byte, changed func()) error {
	w, err := newWatch(path, sum)
	if err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	defer w.events.Close()
	if err := w.run(ctx, changed); err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	return nil
}

// watch is one file that is watched.
type watch struct {
	path   string // absolute
	events *fsnotify.Watcher
	dirs   map[string]bool   // that are watched
	names  map[string]bool   // in them, that matter
	last   [sha256.Size]byte // of the contents
}

func newWatch(path string, sum [sha256.Size]byte) (*watch, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &watch{path: path, events: events, dirs: make(map[string]bool), last: sum}
	if err := w.follow(); err != nil {
		events.Close()
		return nil, err
	}
	return w, nil
}

// run waits for events until they have been quiet for a while, but not longer
// than watchMost.
func (w *watch) run(ctx context.Context, changed func()) error {
	quiet, most := stoppedTimer(), stoppedTimer()
	defer quiet.Stop()
	defer most.Stop()
	quiet.Reset(watchQuiet) // it may have changed since it was read
	most.Reset(watchMost)
	for pending := true; ; {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-w.events.Events:
			if !ok {
				return errors.New("the system ended it")
			}
			if !w.concerns(event) {
				continue
			}
		case err, ok := <-w.events.Errors:
			if !ok {
				return errors.New("the system ended it")
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // events were lost: look
				return err
			}
		case <-quiet.C:
			most.Stop()
			pending = false
			if err := w.settle(changed); err != nil {
				return err
			}
			continue
		case <-most.C:
			quiet.Stop()
			pending = false
			if err := w.settle(changed); err != nil {
				return err
			}
			continue
		}
		quiet.Reset(watchQuiet)
		if !pending {
			pending = true
			most.Reset(watchMost)
		}
	}
}

// concerns reports whether an event may be about the file.
func (w *watch) concerns(event fsnotify.Event) bool {
	if w.dirs[event.Name] && event.Has(fsnotify.Remove|fsnotify.Rename) {
		_ = w.events.Remove(event.Name) // it may be gone by itself
		delete(w.dirs, event.Name)
		return true
	}
	return w.names[event.Name]
}

// settle looks at the file when a change is over.
func (w *watch) settle(changed func()) error {
	if err := w.follow(); err != nil {
		return err
	}
	if now, err := look(w.path); err == nil && now != w.last {
		w.last = now
		changed()
	}
	return nil
}

// look reads what is in the file now.
func look(path string) (sum [sha256.Size]byte, err error) {
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 0 {
		err = errors.New("empty")
	}
	return sha256.Sum256(data), err
}

// follow watches the directories that matter now, and no others.
func (w *watch) follow() error {
	dir := filepath.Dir(w.path)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("its directory %s: %s", dir, reason(err))
	}
	dirs, names := way(w.path)
	w.names = names
	for dir := range w.dirs {
		if !dirs[dir] {
			_ = w.events.Remove(dir) // it may be gone by itself
			delete(w.dirs, dir)
		}
	}
	for dir := range dirs {
		if w.dirs[dir] {
			continue
		}
		if err := w.events.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		} else if err == nil {
			w.dirs[dir] = true
		}
	}
	return nil
}

// way returns the directories in which a change can make path another file, the
// one of each link on the way and that of the file itself, and what of them is
// on the way. A link may be any element of a path: "..data" of a ConfigMap is a
// directory.
func way(path string) (dirs, names map[string]bool) {
	const most = 40 // links, as the kernel has it
	const separator = string(filepath.Separator)
	dirs, names = make(map[string]bool), make(map[string]bool)
	root := filepath.VolumeName(path) + separator
	at, rest := root, strings.Split(strings.TrimPrefix(path, root), separator)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		here := filepath.Join(at, name)
		names[here] = true
		to, err := os.Readlink(here)
		if err != nil { // not a link, or not there
			if _, err := os.Lstat(here); err != nil || len(rest) == 0 {
				dirs[at] = true
				return dirs, names
			}
			at = here
			continue
		}
		dirs[at] = true
		if links++; links > most {
			return dirs, names
		}
		if filepath.IsAbs(to) {
			at, to = root, strings.TrimPrefix(to, root)
		}
		rest = append(strings.Split(to, separator), rest...)
	}
	return dirs, names
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
