package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"tandem/config/catalog"
)

// decoder reads the nodes of one file and gathers what is wrong with them. Its
// readers return the default for a missing node, and after an error, so that
// one mistake does not hide the next.
type decoder struct {
	world
	file     string
	root     node
	unlined  bool // it is no file, so nothing is said of lines
	errs     Errors
	warnings Errors
	failed   map[string]bool // paths with an error: what follows from it is not reported
	warned   map[string]bool // paths that a rule has warned of

	pem         []PEM          // in the order read
	files       []*numbersFile // in the order read
	numbersRead int            // of all of them
	told        time.Time      // when progress was told of
}

// keys is what a mapping may hold. later are keys of the design that this
// version does not have; elsewhere are keys that belong to other mappings, each
// with the reason.
type keys struct {
	known, later []string
	elsewhere    map[string]string
}

func (d *decoder) fail(n node, format string, args ...any) {
	d.failAt(n.line(), n.path, format, args...)
}

func (d *decoder) failAt(line int, field, format string, args ...any) {
	d.failed[field] = true
	d.errs = append(d.errs, Error{File: d.file, Line: line, Field: field, Text: oneLine(fmt.Sprintf(format, args...))})
}

func (d *decoder) warnAt(line int, field, format string, args ...any) {
	d.warnings = append(d.warnings, Error{File: d.file, Line: line, Field: field, Text: oneLine(fmt.Sprintf(format, args...))})
}

// fields returns the values of a mapping by key and reports keys that are
// unknown or written twice.
func (d *decoder) fields(n node, k keys) map[string]node {
	values := make(map[string]node)
	lines := make(map[string]int)
	switch n.kind() {
	case missing:
		return values
	case null:
		if n.isElement() {
			d.fail(n, `is empty; remove the "-", or write keys after it`)
		}
		return values
	case scalar, list:
		d.fail(n, `must be a block of keys, as in "%s: ..."`, k.known[0])
		return values
	}
	for key, value := range n.pairs() {
		name, _ := key.scalar()
		key.path = child(n.path, printable(name))
		first, twice := lines[name]
		switch {
		case name == "":
			d.fail(n, "holds a key that is not a word; the keys here are %s", strings.Join(k.known, ", "))
		case twice:
			d.fail(key, "is written twice, first on line %d; remove one", first)
		case contains(k.known, name):
			values[name] = value
		case k.elsewhere[name] != "":
			d.fail(key, "%s", k.elsewhere[name])
		case contains(k.later, name):
			d.fail(key, "this version does not have it; remove it")
		case name == "<<":
			d.fail(key, "merge keys are not supported; repeat the values, or name one with &name and use it as *name")
		default:
			d.unknown(n, key, k)
		}
		if !twice {
			lines[name] = key.line()
		}
	}
	return values
}

// unknown reports a key that a mapping cannot hold.
func (d *decoder) unknown(n, key node, k keys) {
	name, _ := key.scalar()
	if near := catalog.Nearest(name, k.known); near != "" {
		d.fail(key, "is an unknown key; did you mean %q?", near)
		d.failed[child(n.path, near)] = true // what was meant counts as written
		return
	}
	d.fail(key, "is an unknown key; the keys here are %s", strings.Join(k.known, ", "))
}

// list returns the elements of a list. A single value stands for a list of one.
func (d *decoder) list(n node) []node {
	switch n.kind() {
	case missing, null:
		return nil
	case mapping:
		d.fail(n, `must be a list; put "- " before each element`)
		return nil
	case scalar:
		return []node{n.as(n.path + "[0]")}
	}
	var elements []node
	for _, element := range n.items() {
		elements = append(elements, element)
	}
	return elements
}

// scalar returns the text of a value with its variables replaced.
func (d *decoder) scalar(n node) (text string, ok bool) {
	switch n.kind() {
	case missing:
		return "", false
	case null:
		d.fail(n, "has no value; write one, or remove the key")
		return "", false
	case list, mapping:
		d.fail(n, "must be a single value")
		return "", false
	}
	text, tag := n.scalar()
	switch tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
	default:
		d.fail(n, "has the tag %s; remove it", printable(tag))
		return "", false
	}
	text, problems := expand(text, d.env)
	for _, problem := range problems {
		d.fail(n, "%s", problem)
	}
	return text, len(problems) == 0
}

// text reads a text. Digits need no quotes: they are taken as written.
func (d *decoder) text(n node, otherwise string) string {
	text, ok := d.scalar(n)
	if !ok {
		return otherwise
	}
	if _, tag := n.scalar(); tag == "!!bool" {
		d.fail(n, "must be a text; write %q in quotes if it is meant", text)
		return otherwise
	}
	return text
}

// integer reads a whole number from least to most.
func (d *decoder) integer(n node, otherwise, least, most int) int {
	value, ok := d.whole(n)
	if !ok {
		return otherwise
	}
	if value < least || value > most {
		d.fail(n, "%d is out of range; write %d to %d", value, least, most)
		return otherwise
	}
	return value
}

// whole reads a whole number, whose range is for others to check.
func (d *decoder) whole(n node) (value int, ok bool) {
	text, ok := d.scalar(n)
	if !ok {
		return 0, false
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		d.fail(n, "%s is not a whole number; write it in digits", quote(text))
	}
	return value, err == nil
}

// boolean reads true or false.
func (d *decoder) boolean(n node, otherwise bool) bool {
	text, ok := d.scalar(n)
	if !ok {
		return otherwise
	}
	switch strings.ToLower(text) {
	case "true", "yes", "on":
		return true
	case "false", "no", "off":
		return false
	}
	d.fail(n, "%s is neither true nor false", quote(text))
	return otherwise
}

// duration reads a time with its unit, from least to most.
func (d *decoder) duration(n node, otherwise, least, most time.Duration) time.Duration {
	text, ok := d.scalar(n)
	if !ok {
		return otherwise
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			d.fail(n, "%s has no unit; write %ss, or %sms", quote(text), text, text)
			return otherwise
		}
		d.fail(n, "%s is not a time; write a number and its unit, as in 2s, 500ms or 3m", quote(text))
		return otherwise
	}
	if value < least || value > most {
		d.fail(n, "%s is out of range; write %s to %s", text, catalog.Duration(least), catalog.Duration(most))
		return otherwise
	}
	return value
}

// durationOrOff reads a time from least to most, or off as 0.
func (d *decoder) durationOrOff(n node, otherwise, least, most time.Duration) time.Duration {
	text, ok := d.scalar(n)
	switch {
	case !ok:
		return otherwise
	case text == Off || text == "0":
		return 0
	}
	failures := len(d.errs)
	value := d.duration(n, otherwise, 0, math.MaxInt64)
	switch {
	case len(d.errs) > failures:
		return otherwise
	case value == 0:
		return 0
	case value < least || value > most:
		d.fail(n, "%s is out of range; write %s to %s, or off", text, catalog.Duration(least), catalog.Duration(most))
		return otherwise
	}
	return value
}

// countOrOff reads a whole number up to most, or off as 0.
func (d *decoder) countOrOff(n node, otherwise, most int) int {
	if n.kind() == scalar {
		if text, _ := n.scalar(); text == Off {
			return 0
		}
	}
	return d.integer(n, otherwise, 0, most)
}

// choice reads one of some words and returns which; the first is the default.
func (d *decoder) choice(n node, words ...string) int {
	text, ok := d.scalar(n)
	if !ok {
		return 0
	}
	for i, word := range words {
		if text == word {
			return i
		}
	}
	d.fail(n, "%s is not known; write %s", quote(text), strings.Join(words, " or "))
	return 0
}

// element returns the path of an element of a list.
func element(list string, i int) string {
	return list + "[" + strconv.Itoa(i) + "]"
}

func contains(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// quote quotes what an operator wrote, cut to a length fit for a message.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%.*q...", most, s)
	}
	return strconv.Quote(s)
}

// printable is a key or tag fit for a message.
func printable(s string) string {
	q := quote(s)
	return strings.ReplaceAll(strings.Trim(q, `"`), `"`, "")
}

// oneLine keeps an error to its line, whatever it quotes.
func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "\r", " ").Replace(s)
}
