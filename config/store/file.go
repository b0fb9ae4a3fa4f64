package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var errForeign = errors.New("it is a bolt file of another program; name another file")

// refused says which file it is that is not opened.
func refused(path string, err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = errors.New("it is open in another process; stop that one first")
	}
	return fmt.Errorf("the store %s is not opened: %w", path, err)
}

// openFile opens and locks a file that there is.
func openFile(path string, flag int, timeout time.Duration) (*os.File, error) {
	for deadline := time.Now().Add(timeout); ; {
		info, err := os.Stat(path)
		if err != nil {
			return nil, refused(path, err)
		}
		if err := isFile(info); err != nil {
			return nil, refused(path, err)
		}
		f, err := os.OpenFile(path, flag, 0)
		if err != nil {
			return nil, refused(path, err)
		}
		locked, err := lockFile(f, flag != os.O_RDONLY)
		if err != nil {
			return nil, errors.Join(refused(path, err), f.Close())
		}
		// It may have been replaced meanwhile, by a restored one.
		if locked && same(f, path) {
			return f, nil
		}
		if !locked && time.Now().After(deadline) {
			return nil, errors.Join(refused(path, fmt.Errorf("it is open in %s; stop that first", holder(f))), f.Close())
		}
		if err := f.Close(); err != nil {
			return nil, refused(path, err)
		}
		time.Sleep(lockInterval)
	}
}

const lockInterval = 20 * time.Millisecond

func isFile(info os.FileInfo) error {
	switch {
	case info.IsDir():
		return errors.New("it is a directory; name a file in it")
	case !info.Mode().IsRegular():
		return fmt.Errorf("it is no regular file (%s); name one", info.Mode().Type())
	case info.Size() == 0:
		return errors.New("it is empty, which no store ever is; restore a backup, or remove it for a new store without connectors, groups and numbers")
	}
	return nil
}

func same(f *os.File, path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	here, err := f.Stat()
	return err == nil && os.SameFile(here, there)
}

// identify looks through a file and returns its version of the schema.
func identify(f *os.File) (schema uint64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	p, err := readPages(f, info.Size())
	if err != nil {
		return 0, err
	}
	known := false
	err = p.walk(func(bucket string, key, value []byte) {
		if bucket == string(metaBucket) && string(key) == string(schemaName) && len(value) == 8 {
			schema, known = binary.BigEndian.Uint64(value), true
		}
	})
	if err == nil && !known {
		err = errForeign
	}
	return schema, err
}

// create makes a store that is empty. It has its name only once it is whole.
func create(path string, s schema) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("the store %s is not made: %w", path, err)
	}
	defer func() {
		_ = os.Remove(f.Name())
		if err != nil {
			err = fmt.Errorf("the store %s is not made: %w", path, err)
		}
	}()
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil }})
	if err != nil {
		return err
	}
	err = db.Update(s.fill)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, does not replace. File systems without links
	// have to do with a rename.
	err = os.Link(f.Name(), path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(f.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the entries of a directory last.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
