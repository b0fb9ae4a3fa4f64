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
// be opened as it is; it is a store from then on.
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
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
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

// copyBackup copies a backup beside path.
func copyBackup(backup, path string) (name string, err error) {
	f, err := openFile(backup, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return copyBeside(f, path, "restored")
}

// copyBeside copies a file into the directory of path, with a name that begins with
// a dot and says for what.
func copyBeside(f *os.File, path, what string) (name string, err error) {
	to, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"."+what+"-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, io.NewSectionReader(f, 0, 1<<62))
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return "", errors.Join(err, os.Remove(to.Name()))
	}
	return to.Name(), nil
}

// backupSum returns the sum at the end of a backup, and where it begins; nil for
// what is no backup.
func backupSum(f *os.File) (sum []byte, at int64, err error) {
	info, err := f.Stat()
	if err != nil || info.Size() < int64(backupEnd) {
		return nil, 0, err
	}
	at = info.Size() - int64(backupEnd)
	end := make([]byte, backupEnd)
	if _, err := f.ReadAt(end, at); err != nil {
		return nil, 0, err
	}
	sum, ok := bytes.CutPrefix(end, []byte(backupWords))
	if !ok {
		return nil, 0, nil
	}
	return sum, at, nil
}

// checkSum holds a backup against its sum.
func checkSum(f *os.File) error {
	want, at, err := backupSum(f)
	if err != nil || want == nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, at)); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return fmt.Errorf("%w (it is a backup, and not as it was made)", errDamaged)
	}
	return nil
}

// forgetSum makes a store of a backup: it is about to change.
func forgetSum(f *os.File) error {
	sum, at, err := backupSum(f)
	if err != nil || sum == nil {
		return err
	}
	return f.Truncate(at)
}
