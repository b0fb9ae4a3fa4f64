package config

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"tandem/config/catalog"
)

// A number costs YAML's library half a kilobyte. Documents with millions of them
// are read on the nodes that route calls, so runs of lines with a number
// each are lifted out of the text and read by themselves: 8 bytes a number. Empty
// lines stay in their place, so that all lines keep their numbers.

// leastLifted is how many lines a run has at the least.
const leastLifted = 16

// lifted is the runs of a document.
type lifted struct {
	runs  map[int]*liftedRun      // by the line of the first number, which stays in the text
	took  map[string][]*liftedRun // by the path of the list
	files map[string]bool         // paths of the files that they stand for
}

// liftedRun is numbers of one list.
type liftedRun struct {
	text  []byte // the lines after the first
	line  int    // of the first number
	index int    // of the first number in what stays of the list
	count int    // lines of text
	left  bool   // nobody took it yet
}

// lift returns a document without its runs of least lines and more.
func lift(data []byte, least int) ([]byte, *lifted) {
	l := &lifted{runs: make(map[int]*liftedRun), took: make(map[string][]*liftedRun), files: make(map[string]bool)}
	if oddBreaks(data) {
		return data, l
	}
	var thin []byte
	kept := 0 // data before it is in thin, or lifted
	for at, line := 0, 1; at < len(data); {
		first := nextLine(data, at)
		indent, ok := numberLine(data[at:first])
		if !ok {
			at, line = first, line+1
			continue
		}
		end, count := first, 0
		for end < len(data) {
			next := nextLine(data, end)
			if same, ok := numberLine(data[end:next]); !ok || same != indent {
				break
			}
			end, count = next, count+1
		}
		if count+1 >= least && count > 0 {
			thin = append(append(thin, data[kept:first]...), bytes.Repeat([]byte("\n"), bytes.Count(data[first:end], []byte("\n")))...)
			kept = end
			l.runs[line] = &liftedRun{text: data[first:end], line: line, count: count, left: true}
		}
		at, line = end, line+1+count
	}
	if kept == 0 {
		return data, l
	}
	return append(thin, data[kept:]...), l
}

// oddBreaks reports whether YAML sees lines where others do not.
func oddBreaks(data []byte) bool {
	return bytes.Count(data, []byte("\r")) != bytes.Count(data, []byte("\r\n")) ||
		bytes.Contains(data, []byte("\u0085")) || bytes.Contains(data, []byte("\u2028")) || bytes.Contains(data, []byte("\u2029"))
}

// nextLine returns where the line after the one at a place begins.
func nextLine(data []byte, at int) int {
	if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(data)
}

// numberLine reports whether a line is an element of a list, a number of five
// digits or more, and how far it is indented. Status codes are shorter.
func numberLine(line []byte) (indent int, ok bool) {
	for indent < len(line) && line[indent] == ' ' {
		indent++
	}
	text := lineNumber(line)
	if len(text) < 5 {
		return 0, false
	}
	for i, c := range text {
		if (c < '0' || c > '9') && (c != '+' || i > 0) {
			return 0, false
		}
	}
	return indent, len(bytes.TrimPrefix(text, []byte("+"))) >= 5
}

// lineNumber returns the text of a line's element.
func lineNumber(line []byte) []byte {
	text, ok := bytes.CutPrefix(bytes.TrimLeft(line, " "), []byte("- "))
	if !ok {
		return nil
	}
	text = bytes.Trim(text, " \r\n")
	if n := len(text); n > 2 && text[0] == '"' && text[n-1] == '"' {
		text = text[1 : n-1]
	}
	return text
}

// take adds the runs of a list to the numbers of its owner, as if they came from
// one more file: the document.
func (l *lifted) take(d *decoder, owner node, set *catalog.NumberSet) *catalog.NumberSet {
	numbers, ok := owner.step("numbers")
	if !ok || numbers.kind() != list {
		return set
	}
	path := ""
	for i, item := range numbers.items() {
		r := l.runs[item.line()]
		if r == nil || item.kind() != scalar {
			continue
		}
		if path == "" {
			if set == nil {
				set = new(catalog.NumberSet)
			}
			path = element(child(owner.path, "numbers_file"), fileCount(owner))
			set.Begin(d.file, fileCount(owner))
			l.files[path] = true
			d.files = append(d.files, &numbersFile{path: d.file, by: node{path: path}})
		}
		r.left, r.index = false, i
		l.took[numbers.path] = append(l.took[numbers.path], r)
		line := r.line
		for at := 0; at < len(r.text); {
			next := nextLine(r.text, at)
			line++
			if e, err := catalog.ParseEntry(lineNumber(r.text[at:next])); err != nil {
				d.numbersFile(path).fail(line, err.Error())
			} else {
				set.Add(e, line)
			}
			at = next
		}
	}
	return set
}

// fileCount is how many numbers files an owner names.
func fileCount(owner node) int {
	switch n, _ := owner.step("numbers_file"); n.kind() {
	case scalar:
		return 1
	case list:
		return len(n.y.Content)
	}
	return 0
}

// lines is how many lines were lifted.
func (l *lifted) lines() (n int) {
	for _, r := range l.runs {
		n += r.count
	}
	return n
}

// all reports whether every run was taken: what was not is no list of numbers,
// and the document has to be read as it is.
func (l *lifted) all() bool {
	for _, r := range l.runs {
		if r.left {
			return false
		}
	}
	return true
}

var numbersPath = regexp.MustCompile(`^(.*numbers)(_file)?\[(\d+)\]$`)

// place gives mistakes in lists that runs were lifted from the places that they
// have in the document.
func (l *lifted) place(file string, errs Errors) {
	for i := range errs {
		e := &errs[i]
		if at := strings.LastIndex(e.Text, " (see "+file+":"); at >= 0 && e.File == file {
			e.Text = e.Text[:at] + " (see line " + e.Text[at+len(" (see "+file+":"):]
		}
		m := numbersPath.FindStringSubmatch(e.Field)
		if m == nil || l.took[m[1]] == nil || m[2] != "" && !l.files[e.Field] {
			continue
		}
		if e.Line == 0 { // how many more there are
			e.Field = m[1]
			continue
		}
		index, _ := strconv.Atoi(m[3])
		for _, r := range l.took[m[1]] {
			if m[2] != "" && r.line < e.Line && e.Line <= r.line+r.count {
				index = r.index + e.Line - r.line
			}
		}
		for _, r := range l.took[m[1]] {
			if r.line+r.count < e.Line {
				index += r.count
			}
		}
		e.Field = element(m[1], index)
	}
}
