package config

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"

	"tandem/config/catalog"
)

// longestLine is how long a line of a numbers file may be, in bytes.
const longestLine = 64 << 10

// numberLines reads the text of a numbers file, line by line: a number, a range
// or a prefix, which ends at the first "," ";" or tab, so that it may be the
// first column of a CSV file. A first line that begins with a letter is a
// header. Empty lines, and what begins with "#" at the start or behind a blank,
// mean nothing. Fields with line breaks in quotes are not understood.
type numberLines struct {
	in   *bufio.Reader
	line int // that was read last
	any  bool
}

// newNumberLines reads in, which may be compressed by gzip, whatever its name.
func newNumberLines(in io.Reader) (*numberLines, error) {
	r := bufio.NewReaderSize(in, longestLine)
	if magic, _ := r.Peek(2); string(magic) == "\x1f\x8b" {
		plain, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = bufio.NewReaderSize(plain, longestLine)
	}
	switch mark, _ := r.Peek(3); {
	case string(mark) == "\xef\xbb\xbf":
		_, _ = r.Discard(3) // it was peeked at
	case bytes.HasPrefix(mark, []byte("\xff\xfe")), bytes.HasPrefix(mark, []byte("\xfe\xff")):
		return nil, errors.New("it is UTF-16; save it as UTF-8")
	}
	return &numberLines{in: r}, nil
}

// next returns the next entry. wrong is why its line is none; err is io.EOF at
// the end, or why nothing more can be read.
func (l *numberLines) next() (e catalog.Entry, wrong, err error) {
	for {
		text, err := l.in.ReadSlice('\n')
		if len(text) > 0 || !errors.Is(err, io.EOF) {
			l.line++
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if err := l.skip(); err != nil {
				return e, nil, err
			}
			l.any = true
			return e, fmt.Errorf("is longer than %d KiB; write one number a line", longestLine>>10), nil
		case err != nil && !errors.Is(err, io.EOF):
			return e, nil, err
		case len(text) == 0:
			return e, nil, io.EOF
		}
		field, ok := firstField(text)
		if !ok {
			continue
		}
		first := !l.any
		l.any = true
		if e, wrong = catalog.ParseEntry(field); wrong == nil {
			return e, nil, nil
		}
		if first && isHeader(field) {
			continue
		}
		return e, complete(wrong, field, text), nil
	}
}

// skip reads to the end of a line.
func (l *numberLines) skip() error {
	for {
		switch _, err := l.in.ReadSlice('\n'); {
		case err == nil, errors.Is(err, io.EOF):
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// firstField returns what of a line is to be a number; ok is false when the
// line is to be skipped.
func firstField(line []byte) (field []byte, ok bool) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return nil, false
	}
	if line[0] == '"' {
		if end := bytes.IndexByte(line[1:], '"'); end >= 0 {
			if rest := bytes.TrimSpace(line[end+2:]); len(rest) == 0 || bytes.IndexByte([]byte(",;\t#"), rest[0]) >= 0 {
				field = line[1 : end+1]
				return field, len(field) > 0 || !blank(rest)
			}
		}
		return line, true
	}
	end := len(line)
	for i, b := range line {
		if b == ',' || b == ';' || b == '\t' || b == '#' && line[i-1] == ' ' {
			end = i
			break
		}
	}
	field = bytes.TrimRight(line[:end], " ")
	return field, len(field) > 0 || !blank(line)
}

// blank reports whether a line has separators only.
func blank(line []byte) bool { return len(bytes.Trim(line, ",;\t\" ")) == 0 }

// isHeader reports whether the first field of a file names a column: it begins
// with a letter, and is not a number behind a word.
func isHeader(field []byte) bool {
	const most = 4 // digits, as in "E.164"
	digits := 0
	for _, b := range field {
		if b >= '0' && b <= '9' {
			digits++
		}
	}
	first, _ := utf8.DecodeRune(bytes.TrimLeft(field, " "))
	return unicode.IsLetter(first) && digits <= most
}

// complete makes what is wrong with a field say which one it is.
func complete(wrong error, field, line []byte) error {
	text := wrong.Error()
	switch {
	case len(bytes.TrimSpace(field)) == 0:
		return fmt.Errorf("%s begins with no number; write a number, a range A-B or a prefix X*", quote(string(bytes.TrimSpace(line))))
	case bytes.HasPrefix([]byte(text), []byte("has ")):
		return fmt.Errorf("%s %s", quote(string(field)), text)
	}
	return wrong
}
