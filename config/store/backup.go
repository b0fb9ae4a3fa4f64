package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// A backup is the file as it is at one revision, and behind it these words and
// the SHA-256 of all before them. Bolt does not look there, so a backup can also
// be opened as it is.
const backupWords = "tandem backup 1\n"

const backupEnd = len(backupWords) + sha256.Size

// Backup implements Store: it writes a file that Restore takes and Open too. Like
// Each it keeps no commit waiting, and lets the file grow while w is slow.
func (b *Bolt) Backup(ctx context.Context, w io.Writer) error {
	calling := false
	return b.read(ctx, &calling, func(t *bbolt.Tx) error {
		out := &backupWriter{store: b, ctx: ctx, w: w, sum: sha256.New(), calling: &calling}
		if _, err := t.WriteTo(out); err != nil {
			return out.or(err)
		}
		if _, err := out.Write(out.sum.Sum([]byte(backupWords))); err != nil {
			return out.or(err)
		}
		return nil
	})
}

// backupWriter ends a backup when it should not go on.
type backupWriter struct {
	store   *Bolt
	ctx     context.Context
	w       io.Writer
	sum     hash.Hash
	calling *bool
	failed  error // what w said
}

func (o *backupWriter) Write(p []byte) (int, error) {
	if o.failed = o.store.goOn(o.ctx); o.failed != nil {
		return 0, o.failed
	}
	o.sum.Write(p)
	*o.calling = true
	n, err := o.w.Write(p)
	*o.calling = false
	if err != nil {
		o.failed = stopped{err}
	}
	return n, o.failed
}

// or is what w said, whatever has become of it.
func (o *backupWriter) or(err error) error {
	if o.failed != nil {
		return o.failed
	}
	return err
}

// Restore puts a backup in the place of the store at path, which no process may
// have open. The backup is checked wholly before. What was there, damaged or not,
// is kept beside it under the name that is returned; "" says that nothing was.
func Restore(backup, path string) (kept string, err error) {
	dir := filepath.Dir(path)
	temp, err := copyBackup(backup, path)
	if err != nil {
		return "", fmt.Errorf("%s is not restored: %w", backup, err)
	}
	defer func() { _ = os.Remove(temp) }()
	if _, err := Verify(temp); err != nil {
		return "", fmt.Errorf("%s is not restored: %w", backup, err)
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.Link(temp, path); err != nil {
			return "", fmt.Errorf("%s is not restored: %w", backup, err)
		}
		return "", syncDir(dir)
	}
	if err != nil {
		return "", err
	}
	if !there.Mode().IsRegular() {
		return "", refused(path, isFile(there))
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	locked, err := lockFile(f, true)
	if err == nil && (!locked || !same(f, path)) {
		err = fmt.Errorf("%s is open in %s; stop that first", path, holder(f))
	}
	if err != nil {
		return "", err
	}
	if kept, err = keepBeside(path); err != nil {
		return "", err
	}
	if err := os.Rename(temp, path); err != nil {
		return kept, err
	}
	return kept, syncDir(dir)
}

// keepBeside gives a file a second name.
func keepBeside(path string) (string, error) {
	name := path + ".before-" + time.Now().UTC().Format("20060102T150405Z")
	for i := 1; ; i++ {
		kept := name
		if i > 1 {
			kept = fmt.Sprintf("%s-%d", name, i)
		}
		if err := os.Link(path, kept); err == nil || !errors.Is(err, fs.ErrExist) {
			return kept, err
		}
	}
}

// copyBackup copies a backup beside path, and holds it against its sum.
func copyBackup(backup, path string) (name string, err error) {
	f, err := openFile(backup, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".restored-*") // mode 0600
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, temp.Sync(), temp.Close())
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	sum, end := sha256.New(), make([]byte, backupEnd)
	length := info.Size()
	if length > int64(backupEnd) {
		if _, err := f.ReadAt(end, length-int64(backupEnd)); err != nil {
			return "", err
		}
	}
	summed := bytes.HasPrefix(end, []byte(backupWords))
	if summed {
		length -= int64(backupEnd)
	}
	if _, err := io.Copy(io.MultiWriter(temp, sum), io.NewSectionReader(f, 0, length)); err != nil {
		return "", err
	}
	if summed && !bytes.Equal(sum.Sum(nil), end[len(backupWords):]) {
		return "", fmt.Errorf("%w (its sum is not that of the backup that was made)", errDamaged)
	}
	return temp.Name(), nil
}
