package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The format of bolt's files (go.etcd.io/bbolt, version 2 of the format), as far as
// it takes to see that bolt can read one. Bolt itself trusts a file: a page number
// that was damaged ends the process, and there are no sums but those of the two
// meta pages. So a file is looked through before bolt has it, by reads that stay
// inside it.
const (
	boltMagic     = 0xED0CDAED
	boltVersion   = 2
	pageHeader    = 16 // id 8, flags 2, count 2, overflow 4
	pageElement   = 16
	metaLen       = 64
	branchPage    = 0x01
	leafPage      = 0x02
	freelistPage  = 0x10
	bucketElement = 0x01
	bucketHeader  = 16 // root page 8, sequence 8
	noFreelist    = ^uint64(0)
	smallestPage  = 1 << 10
	largestPage   = 16 << 20
	deepest       = 100 // a tree of all pages that there can be is not
)

var (
	errNotBolt   = errors.New("it does not begin as a store does: it is a file of another kind, or damaged at its beginning; name another file or restore a backup")
	errTruncated = errors.New("it is cut off")
)

// pages is a file of bolt as its newest valid meta page has it.
type pages struct {
	file     io.ReaderAt
	size     int64  // of a page
	root     uint64 // the page of the root bucket
	freelist uint64
	high     uint64 // how many pages there are
	txid     uint64
	seen     []uint64 // a bit a page
}

// readPages reads the meta pages.
func readPages(f io.ReaderAt, fileSize int64) (*pages, error) {
	var found *pages
	for size := int64(0); size <= largestPage; size = max(2*size, smallestPage) {
		var buf [pageHeader + metaLen]byte
		if _, err := f.ReadAt(buf[:], size); err != nil {
			if err == io.EOF {
				break
			}
			return nil, err
		}
		// The first page says how large pages are; else the second stands where it
		// says itself.
		p := readMeta(buf[pageHeader:])
		if p == nil || size > 0 && p.size != size {
			continue
		}
		if found == nil || p.txid > found.txid && p.size == found.size {
			p.file, found = f, p
		}
	}
	if found == nil {
		return nil, errNotBolt
	}
	if has := fileSize / found.size; uint64(has) < found.high {
		return nil, fmt.Errorf("%w: it has %d bytes of %d; restore a backup", errTruncated, fileSize, int64(found.high)*found.size)
	}
	found.seen = make([]uint64, found.high/64+1)
	return found, nil
}

// readMeta returns nil for what is no meta page.
func readMeta(m []byte) *pages {
	e := binary.NativeEndian
	sum := fnv.New64a()
	sum.Write(m[:56])
	if e.Uint32(m) != boltMagic || e.Uint32(m[4:]) != boltVersion || e.Uint64(m[56:]) != sum.Sum64() {
		return nil
	}
	p := &pages{size: int64(e.Uint32(m[8:])), root: e.Uint64(m[16:]), freelist: e.Uint64(m[32:]), high: e.Uint64(m[40:]), txid: e.Uint64(m[48:])}
	if p.size < smallestPage || p.size > largestPage || p.size&(p.size-1) != 0 || p.high > 1<<40 {
		return nil
	}
	return p
}

// walk looks at all pages that are in use, and calls visit for what stands in each
// bucket of the root.
func (p *pages) walk(visit func(bucket string, key, value []byte)) error {
	if err := p.bucketAt(p.root, "", 0, visit); err != nil {
		return err
	}
	return p.free()
}

// read reads a page with its overflow.
func (p *pages) read(id uint64) ([]byte, error) {
	if id < 2 || id >= p.high {
		return nil, fmt.Errorf("%w (page %d of %d)", errDamaged, id, p.high)
	}
	buf := make([]byte, p.size)
	if _, err := p.file.ReadAt(buf, int64(id)*p.size); err != nil {
		return nil, err
	}
	if got := binary.NativeEndian.Uint64(buf); got != id {
		return nil, fmt.Errorf("%w (page %d says that it is %d)", errDamaged, id, got)
	}
	more := uint64(binary.NativeEndian.Uint32(buf[12:]))
	if more >= p.high-id {
		return nil, fmt.Errorf("%w (page %d goes on for %d)", errDamaged, id, more)
	}
	for i := id; i <= id+more; i++ {
		if p.seen[i/64]&(1<<(i%64)) != 0 {
			return nil, fmt.Errorf("%w (page %d is used twice)", errDamaged, i)
		}
		p.seen[i/64] |= 1 << (i % 64)
	}
	if more == 0 {
		return buf, nil
	}
	buf = append(buf, make([]byte, int64(more)*p.size)...)
	_, err := p.file.ReadAt(buf[p.size:], int64(id+1)*p.size)
	return buf, err
}

func (p *pages) bucketAt(id uint64, name string, depth int, visit func(string, []byte, []byte)) error {
	return p.tree(id, span{}, name, depth, visit)
}

// span is which keys a page may have: from low on, below high; nil is no limit.
type span struct{ low, high []byte }

// tree looks at a page of a bucket and all below it.
func (p *pages) tree(id uint64, keys span, name string, depth int, visit func(string, []byte, []byte)) error {
	buf, err := p.read(id)
	if err != nil {
		return err
	}
	if depth > deepest || !p.elements(buf, keys, name, depth, visit, &err) {
		err = fmt.Errorf("%w (page %d of %d, bucket %q)", errDamaged, id, p.high, name)
	}
	return err
}

// elements looks at what stands on a page; false means that it is not as bolt
// writes it, err that something below it is not.
func (p *pages) elements(buf []byte, keys span, name string, depth int, visit func(string, []byte, []byte), err *error) bool {
	e := binary.NativeEndian
	if len(buf) < pageHeader {
		return false
	}
	flags, count := e.Uint16(buf[8:]), int(e.Uint16(buf[10:]))
	if flags != leafPage && flags != branchPage || flags == branchPage && count == 0 || pageHeader+count*pageElement > len(buf) {
		return false
	}
	keyAt := func(i int) (key, rest []byte) {
		element := buf[pageHeader+i*pageElement:]
		pos, length := e.Uint32(element), e.Uint32(element[4:])
		if flags == leafPage {
			pos, length = e.Uint32(element[4:]), e.Uint32(element[8:])
		}
		if uint64(pos)+uint64(length) > uint64(len(element)) {
			return nil, nil
		}
		return element[pos : pos+length], element[pos+length:]
	}
	before := keys.low
	for i := range count {
		key, rest := keyAt(i)
		order := bytes.Compare(key, before)
		if len(key) == 0 || order < 0 || order == 0 && i > 0 || keys.high != nil && bytes.Compare(key, keys.high) >= 0 {
			return false
		}
		before = key
		element := buf[pageHeader+i*pageElement:]
		if flags == branchPage {
			child := span{key, keys.high}
			if i+1 < count {
				child.high, _ = keyAt(i + 1)
			}
			if *err = p.tree(e.Uint64(element[8:]), child, name, depth+1, visit); *err != nil {
				return true
			}
			continue
		}
		length := e.Uint32(element[12:])
		if uint64(length) > uint64(len(rest)) {
			return false
		}
		value := rest[:length]
		switch {
		case e.Uint32(element)&bucketElement == 0:
			visit(name, key, value)
		case len(value) < bucketHeader:
			return false
		default:
			inner := name
			if name == "" {
				inner = string(key)
			}
			// A small bucket stands in the value itself, as a page without a number.
			if root := e.Uint64(value); root != 0 {
				*err = p.bucketAt(root, inner, depth+1, visit)
			} else if depth > deepest || !p.elements(value[bucketHeader:], span{}, inner, depth+1, visit, err) {
				return false
			}
			if *err != nil {
				return true
			}
		}
	}
	return true
}

// free looks at the list of free pages.
func (p *pages) free() error {
	if p.freelist == noFreelist {
		return nil
	}
	buf, err := p.read(p.freelist)
	if err != nil {
		return err
	}
	e := binary.NativeEndian
	count, ids := uint64(e.Uint16(buf[10:])), buf[pageHeader:]
	if count == 0xffff {
		count, ids = e.Uint64(ids), ids[8:]
	}
	bad := e.Uint16(buf[8:]) != freelistPage || count > uint64(len(ids)/8)
	for before := uint64(1); !bad && count > 0; count-- {
		id := e.Uint64(ids)
		bad = id <= before || id >= p.high || p.seen[id/64]&(1<<(id%64)) != 0
		before, ids = id, ids[8:]
	}
	if bad {
		return fmt.Errorf("%w (its list of free pages)", errDamaged)
	}
	return nil
}
