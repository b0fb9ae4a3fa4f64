package config

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"time"
)

// seen is what a config and its numbers files had in them when they were looked
// at last.
type seen struct {
	path    string // of the config, absolute
	config  [sha256.Size]byte
	numbers []string // the numbers files that it names
	sums    map[string]seenFile
}

// seenFile is a numbers file that was looked at.
type seenFile struct {
	info os.FileInfo
	sum  [sha256.Size]byte
	sure bool // it was quiet by then: the same size and time mean the same contents
}

// look returns the sum of what there is now, as Config.Sum has it. A config
// that is gone or empty is an error. A numbers file that is gone or empty
// counts as it was: it is about to be written.
func (s *seen) look() (sum [sha256.Size]byte, err error) {
	data, err := os.ReadFile(s.path)
	if err == nil && len(data) == 0 {
		err = errors.New("empty")
	}
	if err != nil {
		return sum, err
	}
	if sum := sha256.Sum256(data); sum != s.config {
		s.config = sum
		if root, problem := parseYAML(data); problem == nil {
			s.numbers = numbersPaths(root, s.path, os.LookupEnv)
		}
	}
	sums := make(map[string]seenFile, len(s.numbers))
	list := make([][sha256.Size]byte, len(s.numbers))
	for i, path := range s.numbers {
		sums[path] = s.lookAt(path)
		list[i] = sums[path].sum
	}
	s.sums = sums
	return sumOf(s.config, list), nil
}

// lookAt reads a numbers file, unless it is as it was.
func (s *seen) lookAt(path string) seenFile {
	const settled = 2 * time.Second // more than the coarsest clock of a file system
	had, known := s.sums[path]
	info, err := os.Stat(path) // before it is opened: another one may take its name
	if err != nil || info.Size() == 0 && known {
		return had
	}
	if known && had.sure && os.SameFile(info, had.info) && info.Size() == had.info.Size() && info.ModTime().Equal(had.info.ModTime()) {
		return had
	}
	file, _, err := openNumbers(path)
	if err != nil {
		return had
	}
	defer file.Close()
	now := seenFile{info: info, sure: time.Since(info.ModTime()) > settled}
	all := sha256.New()
	if _, err := io.Copy(all, file); err != nil {
		return had
	}
	now.sum = [sha256.Size]byte(all.Sum(nil))
	return now
}
