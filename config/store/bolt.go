package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Options are the settings of a Bolt. The zero value is fit for use.
type Options struct {
	// LockTimeout is how long Open waits for another process to leave the file;
	// 2 s unless set.
	LockTimeout time.Duration
}

func (o Options) lockTimeout() time.Duration {
	if o.LockTimeout <= 0 {
		return 2 * time.Second
	}
	return o.LockTimeout
}

// Bolt is a Store in one file of this machine, which it has for itself. Each
// commit is one transaction and is on the disk when Commit returns.
//
// Reading keeps no commit waiting. A commit that fails, because the disk is full
// say, leaves the store as it was: reading goes on, and so do commits once there
// is room.
type Bolt struct {
	path    string
	file    *os.File // bolt's
	db      *bbolt.DB
	closing chan struct{}
	closed  atomic.Bool
	turn    chan struct{} // holds one element while somebody commits
	ring    ring
	reads   sync.RWMutex          // held by all who read; rewrite alone locks it
	dead    atomic.Pointer[error] // why nothing can be read any more
	commit  func(*bbolt.Tx) error

	// Of who has the turn.
	broken error   // why there are no more commits
	unsure *unsure // a commit that failed, and is to be undone
}

var _ Store = (*Bolt)(nil)

// mapped is how much of its address space a Bolt asks for. Until the file
// outgrows it, no commit has to wait for those who read, as it would for a
// larger map. It is no memory: numbers take a few bytes each, ten million of
// them less than a hundredth of it.
const mapped = 16 << 30

// grown is by how many bytes the file grows at a time, which takes another wait
// for the disk.
const grown = 1 << 20

// fillPercent is how full bolt leaves the pages that it cuts.
const fillPercent = 0.7

// Open opens the store in a file, and makes it if there is none. A file that is
// anything else, damaged, of a newer version or open elsewhere is left as it is:
// the error says what it is and what to do.
func Open(path string, o Options) (*Bolt, error) {
	return open(path, o, currentSchema)
}

func open(path string, o Options, s schema) (*Bolt, error) {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(path, s); err != nil {
			return nil, err
		}
	}
	f, err := openFile(path, os.O_RDWR, o.lockTimeout())
	if err != nil {
		return nil, err
	}
	found, err := identify(f)
	if err == nil {
		err = s.accepts(found)
	}
	if err == nil {
		err = forgetSum(f)
	}
	if err != nil {
		return nil, errors.Join(refused(path, err), f.Close())
	}
	if found < s.version {
		if err := keepBeforeMigration(f, path, found); err != nil {
			return nil, errors.Join(refused(path, err), f.Close())
		}
	}
	b := &Bolt{path: path, file: f, closing: make(chan struct{}), turn: make(chan struct{}, 1), commit: (*bbolt.Tx).Commit}
	if err := b.open(o, s); err != nil {
		closeIt := b.abandon
		if b.db != nil && !errors.Is(err, errPanic) {
			closeIt = b.db.Close
		}
		return nil, errors.Join(refused(path, err), closeIt())
	}
	return b, nil
}

// open gives the file to bolt, which has been looked at and is locked.
func (b *Bolt) open(o Options, s schema) error {
	return guarded(nil, func() (err error) {
		options := bbolt.Options{
			Timeout:      o.lockTimeout(),
			FreelistType: bbolt.FreelistMapType,
			NoStatistics: true,
			OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return b.file, nil },
		}
		if strconv.IntSize == 64 && runtime.GOOS != "windows" { // there the file would become as large
			options.InitialMmapSize = mapped
		}
		if b.db, err = bbolt.Open(b.path, 0o600, &options); err != nil {
			return err
		}
		b.db.AllocSize = grown
		if err := s.migrate(b.db); err != nil {
			return err
		}
		return b.db.View(func(t *bbolt.Tx) error {
			x, err := newTx(t)
			if err != nil {
				return err
			}
			b.ring.begin(x.revision)
			_, err = x.snapshot()
			return err
		})
	})
}

// abandon closes the file without bolt, which may hold locks of its own since it
// panicked.
func (b *Bolt) abandon() error {
	err := unlockFile(b.file)
	if err = errors.Join(err, b.file.Close()); errors.Is(err, os.ErrClosed) {
		return nil // bolt has closed it
	}
	return err
}

// Close ends what reads and watches, waits for the commit under way and for the
// functions and writers of those who read, and closes the file.
func (b *Bolt) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	close(b.closing)
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	if b.broken != nil || b.dead.Load() != nil {
		return b.abandon()
	}
	return b.db.Close()
}

// goOn says why an operation should not go on.
func (b *Bolt) goOn(ctx context.Context) error {
	if b.closed.Load() {
		return ErrClosed
	}
	if err := b.dead.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}

// view runs f in a transaction that sees one revision. calling is set by f while
// it runs what is not the store's.
func (b *Bolt) view(ctx context.Context, calling *bool, f func(*tx) error) error {
	return b.read(ctx, calling, func(t *bbolt.Tx) error {
		x, err := newTx(t)
		if err != nil {
			return err
		}
		return f(x)
	})
}

func (b *Bolt) read(ctx context.Context, calling *bool, f func(*bbolt.Tx) error) error {
	if err := b.goOn(ctx); err != nil {
		return err
	}
	b.reads.RLock()
	defer b.reads.RUnlock()
	begun := false
	err := guarded(calling, func() error {
		return b.db.View(func(t *bbolt.Tx) error {
			begun = true
			return f(t)
		})
	})
	if !begun && errors.Is(err, errPanic) {
		// Bolt holds its locks still: nobody else may wait for them.
		err = fmt.Errorf("the store %s: %w", b.path, err)
		b.dead.Store(&err)
		return err
	}
	var own stopped
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own.error
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return ErrClosed
	case errors.Is(err, ErrClosed) || err == ctx.Err():
		return err
	}
	return fmt.Errorf("the store %s: %w", b.path, err)
}

// stopped is an error of a caller's function, which is returned as it is.
type stopped struct{ error }

// errDamaged is a file that is not as bolt or this package writes it.
var errDamaged = errors.New("the file is damaged; restore a backup")

// errPanic is the same, said by a panic.
var errPanic = fmt.Errorf("%w", errDamaged)

// guarded runs f. Bolt panics when it meets what it never wrote, and reads what
// is not there when a page points behind the end of the file: both are errors
// here. What a caller's own function panics with goes on.
func guarded(calling *bool, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if calling != nil && *calling {
			return
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("%w (%.200v)", errPanic, p)
		}
	}()
	return f()
}
