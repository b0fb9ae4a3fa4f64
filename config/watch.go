package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How long a change has to be over before it is told, and how long it may go
// on: one save is many events.
const (
	watchQuiet   = 250 * time.Millisecond
	watchMost    = 2 * time.Second
	watchNumbers = time.Second // of a numbers file: it is long, and half of it can be read too
)

// Watch calls changed each time that the file at path, or a numbers file that it
// names, has other contents than before; sum is that of the contents that were
// read last, Config.Sum. Of the file it understands no more than those names. A
// file that is gone or empty is not a change until it is there again: it is
// about to be written. changed is called by Watch itself, one call at a time.
//
// A numbers file that is written for long in one go is told of when that is
// over, but a writer that pauses for more than a second is taken to be done:
// another name first and a rename at the end is the sure way.
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

// watch is one config that is watched.
type watch struct {
	seen    seen
	events  *fsnotify.Watcher
	dirs    map[string]bool   // that are watched
	names   map[string]bool   // in them, on the way to the config
	numbers map[string]bool   // in them, on the way to its numbers files
	last    [sha256.Size]byte // of the contents
	patient time.Duration     // how long a numbers file has to be quiet
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
	w := &watch{seen: seen{path: path}, events: events, dirs: make(map[string]bool), last: sum, patient: watchNumbers}
	_, _ = w.seen.look() // for the names of numbers files; what changed is found when it runs
	if err := w.follow(); err != nil {
		events.Close()
		return nil, err
	}
	return w, nil
}

// run waits for events until they have been quiet for a while, but for those
// of the config not longer than watchMost.
func (w *watch) run(ctx context.Context, changed func()) error {
	quiet, most := stoppedTimer(), stoppedTimer()
	defer quiet.Stop()
	defer most.Stop()
	quiet.Reset(watchQuiet) // it may have changed since it was read
	after := watchQuiet     // how long it has to be quiet
	for pending := false; ; {
		config := true
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-w.events.Events:
			if !ok {
				return errors.New("the system ended it")
			}
			var numbers bool
			if config, numbers = w.concerns(event); numbers {
				after = w.patient
			} else if !config {
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
			pending, after = false, watchQuiet
			if err := w.settle(changed); err != nil {
				return err
			}
			continue
		case <-most.C:
			quiet.Stop()
			pending, after = false, watchQuiet
			if err := w.settle(changed); err != nil {
				return err
			}
			continue
		}
		quiet.Reset(after)
		if config && !pending {
			pending = true
			most.Reset(watchMost)
		}
	}
}

// concerns reports whether an event may be about the config, or about one of
// its numbers files.
func (w *watch) concerns(event fsnotify.Event) (config, numbers bool) {
	if w.dirs[event.Name] && event.Has(fsnotify.Remove|fsnotify.Rename) {
		_ = w.events.Remove(event.Name) // it may be gone by itself
		delete(w.dirs, event.Name)
		return true, false
	}
	return w.names[event.Name], w.numbers[event.Name]
}

// settle looks at the files when a change is over.
func (w *watch) settle(changed func()) error {
	if err := w.follow(); err != nil {
		return err
	}
	now, err := w.seen.look()
	if err != nil || now == w.last {
		return nil
	}
	w.last = now
	if err := w.follow(); err != nil { // it may name other numbers files
		return err
	}
	changed()
	return nil
}

// follow watches the directories that matter now, and no others.
func (w *watch) follow() error {
	dir := filepath.Dir(w.seen.path)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("its directory %s: %s", dir, reason(err))
	}
	dirs, names := way(w.seen.path)
	w.names, w.numbers = names, make(map[string]bool)
	for _, path := range w.seen.numbers {
		more, names := way(path)
		maps.Copy(dirs, more)
		maps.Copy(w.numbers, names)
	}
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
