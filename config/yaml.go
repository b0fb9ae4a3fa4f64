package config

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// This is the only file that knows YAML's library. The others see nodes.

// kind is the form of a node.
type kind uint8

const (
	missing kind = iota // not in the file
	null                // present without a value
	scalar
	list
	mapping
)

// node is one value of a file and its path. The zero node is a missing one.
type node struct {
	path string
	y    *yaml.Node
}

// parseYAML reads a file that holds at most one document.
func parseYAML(data []byte) (root node, problem *Error) {
	defer func() {
		if r := recover(); r != nil { // the library has panicked on odd input before
			root, problem = node{}, &Error{Text: "cannot be read as YAML"}
		}
	}()
	if line := badText(data); line > 0 {
		return node{}, &Error{Line: line, Text: "is not text: a byte that is not UTF-8, or a control character; save the file as UTF-8"}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return node{}, nil
	} else if err != nil {
		return node{}, syntaxError(err, data)
	}
	if err := dec.Decode(&more); err == nil {
		return node{}, &Error{Line: more.Line, Text: `a second document begins here; a file holds one, so remove the "---"`}
	} else if !errors.Is(err, io.EOF) {
		return node{}, syntaxError(err, data)
	}
	if len(doc.Content) == 0 {
		return node{}, nil
	}
	return node{y: resolve(doc.Content[0])}, nil
}

// badText returns the first line that YAML allows in no way, or 0.
func badText(data []byte) int {
	line := 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\r':
			return line
		}
		i += size
	}
	return 0
}

var (
	lineRE   = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)`)
	anchorRE = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)
)

// syntaxHints says what to do about the library's commonest messages.
var syntaxHints = map[string]string{
	"found character that cannot start any token":            `indent with spaces, not tabs, and quote a value that begins with % @ or a backquote`,
	"mapping values are not allowed in this context":         `indent the keys of one block alike, and quote a value that holds ": "`,
	"did not find expected ',' or ']'":                       `close the list that begins here with "]", and quote values that hold [ ] { } or ","`,
	"did not find expected ',' or '}'":                       `close the block that begins here with "}", and quote values that hold [ ] { } or ","`,
	"did not find expected '-' indicator":                    `indent this line like the list that it belongs to, each item after "- "`,
	"did not find expected key":                              `indent this line like the block that it belongs to`,
	"could not find expected ':'":                            `write "key: value"`,
	"found unexpected end of stream":                         `close the quotes that are open`,
	"block sequence entries are not allowed in this context": `put the list on lines of its own, each item after "- "`,
}

// syntaxError is the library's error with a line that can be trusted.
func syntaxError(err error, data []byte) *Error {
	m := lineRE.FindStringSubmatch(err.Error())
	text := m[2]
	line, _ := strconv.Atoi(m[1])
	switch {
	case failsAt(data, 1, text):
		line = 1 // the library takes its line 0 for none
	case text == "did not find expected key", text == "did not find expected '-' indicator":
		// The library names the line where the block begins, not where it breaks.
		// Lines before the break alone are valid, so the break is searched for.
		line = 1 + sort.Search(bytes.Count(data, []byte("\n")), func(i int) bool { return failsAt(data, i+1, text) })
	case strings.HasPrefix(text, "did not find expected"):
		line++ // the library counts lines from 0 in errors of its parser
	}
	if a := anchorRE.FindStringSubmatch(text); a != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+a[1]))
		line = 1 + bytes.Count(before, []byte("\n"))
		return &Error{Line: line, Text: `nothing is named by "&` + a[1] + `"; quote a value that begins with "*"`}
	}
	if hint := syntaxHints[text]; hint != "" {
		text += "; " + hint
	}
	last := 1 + bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n"))
	return &Error{Line: min(max(line, 1), last), Text: "is not YAML: " + text}
}

// failsAt reports whether the first lines of a file already have the error.
func failsAt(data []byte, lines int, text string) bool {
	end := 0
	for ; lines > 0 && end < len(data); lines-- {
		next := bytes.IndexByte(data[end:], '\n')
		if next < 0 {
			end = len(data)
			break
		}
		end += next + 1
	}
	var doc yaml.Node
	err := yaml.Unmarshal(data[:end], &doc)
	return err != nil && lineRE.FindStringSubmatch(err.Error())[2] == text
}

// resolve returns what an alias stands for.
func resolve(y *yaml.Node) *yaml.Node {
	if y.Kind == yaml.AliasNode && y.Alias != nil {
		return y.Alias
	}
	return y
}

func (n node) kind() kind {
	switch {
	case n.y == nil:
		return missing
	case n.y.Kind == yaml.SequenceNode:
		return list
	case n.y.Kind == yaml.MappingNode:
		return mapping
	case n.y.ShortTag() == "!!null":
		return null
	}
	return scalar
}

// line returns the node's line, 1 for a missing one.
func (n node) line() int {
	if n.y == nil || n.y.Line < 1 {
		return 1
	}
	return n.y.Line
}

// scalar returns the text as written and YAML's type of it, as in "!!int".
func (n node) scalar() (text, tag string) { return n.y.Value, n.y.ShortTag() }

// isElement reports whether the node stands in a list.
func (n node) isElement() bool { return strings.HasSuffix(n.path, "]") }

// as returns the node under another path.
func (n node) as(path string) node { return node{path: path, y: n.y} }

// items yields the elements of a list.
func (n node) items() iter.Seq2[int, node] {
	return func(yield func(int, node) bool) {
		for i, y := range n.y.Content {
			if !yield(i, node{path: n.path + "[" + strconv.Itoa(i) + "]", y: resolve(y)}) {
				return
			}
		}
	}
}

// pairs yields the keys and values of a mapping. A key that is not a word is
// an empty scalar.
func (n node) pairs() iter.Seq2[node, node] {
	return func(yield func(key, value node) bool) {
		for i := 0; i+1 < len(n.y.Content); i += 2 {
			y := resolve(n.y.Content[i])
			key := node{path: n.path, y: &yaml.Node{Kind: yaml.ScalarNode, Line: y.Line}}
			if y.Kind == yaml.ScalarNode {
				key = node{path: child(n.path, y.Value), y: y}
			}
			if !yield(key, node{path: key.path, y: resolve(n.y.Content[i+1])}) {
				return
			}
		}
	}
}

// find returns the node at a path, or the deepest one there is on the way.
func (n node) find(path string) node {
	for path != "" && n.y != nil {
		step := strings.TrimPrefix(path, ".")
		end := len(step)
		if i := strings.IndexAny(step[min(1, end):], ".["); i >= 0 {
			end = i + 1
		}
		next, ok := n.step(step[:end])
		if !ok {
			break
		}
		n, path = next, step[end:]
	}
	return n
}

// step goes from a node to its field "name" or element "[i]".
func (n node) step(step string) (node, bool) {
	if index, ok := strings.CutPrefix(step, "["); ok {
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if n.kind() == scalar && i == 0 {
			return n, true // a list of one, written without brackets
		}
		if err != nil || n.kind() != list || i >= len(n.y.Content) {
			return node{}, false
		}
		return node{path: n.path + step, y: resolve(n.y.Content[i])}, true
	}
	if n.kind() != mapping {
		return node{}, false
	}
	for key, value := range n.pairs() {
		if name, _ := key.scalar(); name == step {
			return value, true
		}
	}
	return node{}, false
}

// child returns the path of a mapping's field.
func child(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
