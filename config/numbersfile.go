package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tandem/config/catalog"
)

// mostNumbers is how many entries the numbers files of a node may have. While
// they are read and checked each takes 16 bytes.
const mostNumbers = 50_000_000

// numbersFile is a numbers file that was read, or tried.
type numbersFile struct {
	path string // as it can be opened, and as messages have it
	by   node   // that names it
	sum  [sha256.Size]byte
	errs Errors
	more int    // mistakes that are not in errs
	end  Errors // why it was not read to its end
}

// fail notes a line that cannot be read. Some are named, the others counted.
func (f *numbersFile) fail(line int, text string) {
	if len(f.errs) >= catalog.MaxNamed {
		f.more++
		return
	}
	f.add(line, text)
}

func (f *numbersFile) add(line int, text string) {
	f.errs = append(f.errs, f.mistake(line, text))
}

func (f *numbersFile) mistake(line int, text string) Error {
	return Error{File: f.path, Line: line, Field: f.by.path, Text: oneLine(text)}
}

// mistakes returns the first mistakes of a file, and how many more there are.
func (f *numbersFile) mistakes() Errors {
	errs := f.errs.sorted()
	if n := len(errs) - catalog.MaxNamed; n > 0 {
		errs, f.more = errs[:catalog.MaxNamed], f.more+n
	}
	if f.more > 0 {
		errs = append(errs, f.mistake(0, "and "+count(f.more)+" more like these"))
	}
	return append(errs, f.end...)
}

// numbersFiles reads the numbers files of an owner, one path or a list of them.
// It returns nil if there are none.
func (d *decoder) numbersFiles(n node) *catalog.NumberSet {
	var set *catalog.NumberSet
	for i, item := range d.list(n) {
		text := d.text(item, "")
		switch {
		case d.failed[item.path]:
			continue
		case text == "":
			d.fail(item, "is empty; write the path of a file of numbers, from this file's directory on")
			continue
		}
		path := beside(d.file, text)
		if i := slices.IndexFunc(d.files, func(f *numbersFile) bool { return f.path == path }); i >= 0 {
			d.fail(item, "%s is a file of %s already; a number has one owner, so remove it here or there (see line %d)",
				quote(path), d.files[i].by.path, d.files[i].by.line())
			continue
		}
		if set == nil {
			set = new(catalog.NumberSet)
		}
		set.Begin(path, i)
		f := &numbersFile{path: path, by: item}
		d.files = append(d.files, f)
		d.readNumbers(f, set)
	}
	return set
}

// path reads a file's path.
func (d *decoder) path(n node) string {
	if text := d.text(n, ""); text != "" {
		return beside(d.file, text)
	}
	return ""
}

// beside returns a path that a config names: from its own directory on.
func beside(config, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(config), path)
}

// openNumbers opens a numbers file and returns its size, in bytes. What is no
// plain file (a pipe, a device) could wait or go on for ever.
func openNumbers(path string) (io.ReadCloser, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("it is not a file")
	}
	file, err := os.Open(path)
	return file, info.Size(), err
}

// readNumbers reads one file into a set.
func (d *decoder) readNumbers(f *numbersFile, set *catalog.NumberSet) {
	file, size, err := d.open(f.path)
	if err != nil {
		d.fail(f.by, "%s cannot be read: %s", quote(f.path), reason(err))
		return
	}
	defer file.Close()
	in := &countedReader{in: file, sum: sha256.New()}
	lines, err := newNumberLines(in)
	if err != nil {
		f.end = Errors{f.mistake(0, "cannot be read: "+readReason(err))}
		return
	}
	const (
		tellAt = 1 << 14 // numbers after which it is time to look up
		sample = 1 << 18 // numbers by which the rest is guessed
	)
	read, most := 0, cmp.Or(d.most, mostNumbers)
	for {
		e, wrong, err := lines.next()
		if err == io.EOF {
			break
		} else if err != nil {
			f.end = Errors{f.mistake(lines.line, "cannot be read: "+readReason(err))}
			return
		}
		if wrong != nil {
			f.fail(lines.line, wrong.Error())
			continue
		}
		set.Add(e, lines.line)
		d.numbersRead++
		if read++; read%tellAt != 0 {
			continue
		}
		if read == sample && in.read < size {
			set.Grow(min(int(1.02*sample*float64(size)/float64(in.read))-read, most))
		}
		if d.numbersRead > most {
			f.end = Errors{f.mistake(lines.line, "more than "+count(most)+" numbers in files are too many for a node; write ranges and prefixes, or divide them among nodes")}
			return
		}
		d.tell(f.path, read)
	}
	f.sum = [sha256.Size]byte(in.sum.Sum(nil))
	if read == 0 && len(f.errs) == 0 {
		d.warnAt(f.by.line(), f.by.path, "%s has no numbers", quote(f.path))
	}
}

// tell tells of the progress of a long load.
func (d *decoder) tell(file string, numbers int) {
	if d.progress == nil {
		return
	}
	if now := time.Now(); now.Sub(d.told) >= progressEvery {
		d.told = now
		d.progress(file, numbers)
	}
}

// readReason says why a file could not be read on.
func readReason(err error) string {
	text := reason(err)
	if errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(text, "gzip: ") || strings.HasPrefix(text, "flate: ") {
		text += "; it is cut off or damaged"
	}
	return text
}

// countedReader counts and sums up what is read.
type countedReader struct {
	in   io.Reader
	sum  hash.Hash
	read int64
}

func (r *countedReader) Read(buf []byte) (int, error) {
	n, err := r.in.Read(buf)
	r.read += int64(n)
	r.sum.Write(buf[:n])
	return n, err
}

// numbersPaths returns the numbers files that a config names, each once, in
// the order in which they are read. Mistakes are left out.
func numbersPaths(root node, config string, env func(string) (string, bool)) (paths []string) {
	for _, key := range []string{"connectors", "groups"} {
		owners := root.find(key)
		if owners.kind() != list || owners.path != key {
			continue
		}
		for _, owner := range owners.items() {
			n, ok := owner.step("numbers_file")
			switch {
			case !ok:
				continue
			case n.kind() == scalar:
				paths = addPath(paths, n, config, env)
				continue
			case n.kind() != list:
				continue
			}
			for _, item := range n.items() {
				if item.kind() == scalar {
					paths = addPath(paths, item, config, env)
				}
			}
		}
	}
	return paths
}

func addPath(paths []string, n node, config string, env func(string) (string, bool)) []string {
	text, _ := n.scalar()
	text, problems := expand(text, env)
	path := beside(config, text)
	if len(problems) > 0 || text == "" || slices.Contains(paths, path) {
		return paths
	}
	return append(paths, path)
}

// sumOf is what tells one state of a config from another: the sum of its
// contents and those of its numbers files in their order.
func sumOf(config [sha256.Size]byte, files [][sha256.Size]byte) [sha256.Size]byte {
	if len(files) == 0 {
		return config
	}
	all := sha256.New()
	all.Write(config[:])
	for _, sum := range files {
		all.Write(sum[:])
	}
	return [sha256.Size]byte(all.Sum(nil))
}
