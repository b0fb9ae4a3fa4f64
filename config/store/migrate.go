package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// schema is a version of what stands in the file, and how files of older ones
// become it.
type schema struct {
	version uint64
	steps   map[uint64]func(*bbolt.Tx) error // from a version to the next
}

// currentSchema is the one of this package. Whoever changes what stands in the
// file raises version and adds the step from the version before; the test of the
// steps wants a file of each.
var currentSchema = schema{version: 1}

// accepts says whether a file of a version can be opened.
func (s schema) accepts(found uint64) error {
	if found > s.version {
		return fmt.Errorf("a newer tandem wrote it (version %d of its contents, this one knows up to %d); start that one, or restore a backup of before", found, s.version)
	}
	for v := found; v < s.version; v++ {
		if s.steps[v] == nil {
			return fmt.Errorf("it is of version %d, which this tandem no longer reads; open it with an older one first", found)
		}
	}
	return nil
}

// migrate takes all steps in one transaction.
func (s schema) migrate(db *bbolt.DB) error {
	err := db.Update(func(t *bbolt.Tx) error {
		meta := t.Bucket(metaBucket)
		if meta == nil {
			return errForeign
		}
		found, ok := readNumber(meta, schemaName)
		if !ok {
			return errForeign
		}
		if found == s.version {
			return errCurrent
		}
		for v := found; v < s.version; v++ {
			if err := s.steps[v](t); err != nil {
				return fmt.Errorf("from version %d to %d: %w", v, v+1, err)
			}
		}
		return meta.Put(schemaName, eightBytes(s.version))
	})
	if err == errCurrent {
		return nil
	}
	return err
}

var errCurrent = errors.New("there is nothing to migrate")

// fill makes the buckets of an empty store.
func (s schema) fill(t *bbolt.Tx) error {
	for _, name := range buckets {
		if _, err := t.CreateBucket(name); err != nil {
			return err
		}
	}
	meta := t.Bucket(metaBucket)
	for _, n := range []struct {
		name  []byte
		value uint64
	}{{schemaName, s.version}, {revisionName, 0}, {catalogName, 0}} {
		if err := meta.Put(n.name, eightBytes(n.value)); err != nil {
			return err
		}
	}
	return nil
}

// keepBeforeMigration copies the file beside itself, for those who want the older
// tandem back.
func keepBeforeMigration(f *os.File, path string, version uint64) error {
	name, err := copyBeside(f, path, "kept")
	if err != nil {
		return err
	}
	if err := os.Rename(name, fmt.Sprintf("%s.version-%d", path, version)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
