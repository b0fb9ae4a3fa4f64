package config

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// WriteInventory writes an inventory in the YAML form that ParseInventory reads:
// connectors and groups by name, each with its numbers, and then the unassigned
// numbers. IDs and times are not in it.
//
// each calls its function for all numbers, in any order, though theirs is the
// cheapest: a number then takes one to five bytes here until it is written under
// its owner. It is called once, so that the numbers can be those of one moment,
// and before anything is written: an error of it, or a number whose owner is not
// in the Snapshot, leaves w untouched.
func WriteInventory(w io.Writer, s *inventory.Snapshot, each func(func(inventory.Number) error) error) error {
	numbers, err := collect(s, each)
	if err != nil {
		return err
	}
	y := &yamlWriter{out: bufio.NewWriterSize(w, 64<<10)}
	y.section("connectors", len(s.Connectors))
	for i := range s.Connectors {
		c := &s.Connectors[i]
		if err := y.element(c.ConnectorSpec); err != nil {
			return fmt.Errorf("connector %s cannot be written: %w", quote(c.Name), err)
		}
		y.numbers("    ", numbers[inventory.Owner{Kind: inventory.ConnectorOwner, ID: c.ID}])
	}
	y.section("groups", len(s.Groups))
	for i := range s.Groups {
		g := &s.Groups[i]
		if err := y.element(g.GroupSpec); err != nil {
			return fmt.Errorf("group %s cannot be written: %w", quote(g.Name), err)
		}
		y.numbers("    ", numbers[inventory.Owner{Kind: inventory.GroupOwner, ID: g.ID}])
	}
	y.numbers("", numbers[inventory.Owner{}])
	return y.out.Flush()
}

// collect gathers the numbers of each owner.
func collect(s *inventory.Snapshot, each func(func(inventory.Number) error) error) (map[inventory.Owner]*pile, error) {
	numbers := map[inventory.Owner]*pile{{}: new(pile)}
	for i := range s.Connectors {
		numbers[inventory.Owner{Kind: inventory.ConnectorOwner, ID: s.Connectors[i].ID}] = new(pile)
	}
	for i := range s.Groups {
		numbers[inventory.Owner{Kind: inventory.GroupOwner, ID: s.Groups[i].ID}] = new(pile)
	}
	err := each(func(n inventory.Number) error {
		p := numbers[n.Owner]
		if p == nil {
			return fmt.Errorf("%s belongs to %s, which is not there: the inventory has changed meanwhile; try again", n.Entry, s.OwnerName(n.Owner))
		}
		p.add(n.Entry)
		return nil
	})
	return numbers, err
}

// pile is entries of one owner, packed: of each kind the distances from one to the
// next.
type pile [catalog.Prefix + 1]struct {
	data []byte
	last number.Key
}

func (p *pile) add(e catalog.Entry) {
	k := &p[e.Kind]
	k.data = binary.AppendVarint(k.data, int64(e.First)-int64(k.last))
	if k.last = e.First; e.Kind == catalog.Range {
		k.data = binary.AppendUvarint(k.data, uint64(e.Last-e.First))
	}
}

// each calls f for all entries.
func (p *pile) each(f func(catalog.Entry)) {
	for kind := range p {
		e := catalog.Entry{Kind: catalog.Kind(kind)}
		for data := p[kind].data; len(data) > 0; {
			step, n := binary.Varint(data)
			data = data[n:]
			e.First += number.Key(step)
			if e.Kind == catalog.Range {
				size, n := binary.Uvarint(data)
				data = data[n:]
				e.Last = e.First + number.Key(size)
			}
			f(e)
		}
	}
}

// yamlWriter writes YAML that parseYAML reads. A failure to write shows when out
// is flushed.
type yamlWriter struct {
	out *bufio.Writer
	buf []byte
}

// section begins a list of elements.
func (y *yamlWriter) section(name string, elements int) {
	if elements == 0 {
		name += ": []\n"
	} else {
		name += ":\n"
	}
	_, _ = y.out.WriteString(name)
}

// element writes an element of a section by the JSON that it has, since the keys
// of a file are the same: a line for each key, and one for each element of a list
// of objects.
func (y *yamlWriter) element(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if _, err := dec.Token(); err != nil { // {
		return err
	}
	for indent := "  - "; dec.More(); indent = "    " {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		y.buf = append(appendWord(append(y.buf[:0], indent...), fmt.Sprint(key)), ':')
		list, before := []json.RawMessage{value}, " "
		if bytes.HasPrefix(value, []byte("[{")) {
			before = "\n      - "
			if err := json.Unmarshal(value, &list); err != nil {
				return err
			}
		}
		for _, item := range list {
			y.buf = append(y.buf, before...)
			if y.buf, err = appendFlow(y.buf, item); err != nil {
				return err
			}
		}
		_, _ = y.out.Write(append(y.buf, '\n'))
	}
	return nil
}

// numbers writes the list of an owner, if it has any.
func (y *yamlWriter) numbers(indent string, p *pile) {
	begin, any := indent+"numbers:\n", false
	p.each(func(e catalog.Entry) {
		if !any {
			_, _ = y.out.WriteString(begin)
			any = true
		}
		y.buf = append(y.buf[:0], indent...)
		y.buf = append(y.buf, `  - "`...)
		y.buf = e.First.Append(y.buf)
		switch e.Kind {
		case catalog.Range:
			y.buf = e.Last.Append(append(y.buf, '-'))
		case catalog.Prefix:
			y.buf = append(y.buf, '*')
		}
		_, _ = y.out.Write(append(y.buf, "\"\n"...))
	})
}

// appendFlow appends a JSON value as YAML on one line.
func appendFlow(buf []byte, value json.RawMessage) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	return appendNext(buf, dec)
}

func appendNext(buf []byte, dec *json.Decoder) ([]byte, error) {
	t, err := dec.Token()
	if err != nil {
		return buf, err
	}
	switch t := t.(type) {
	case json.Delim:
		buf = append(buf, t.String()...)
		for first := true; dec.More(); first = false {
			if !first {
				buf = append(buf, ", "...)
			}
			if t == '{' {
				key, err := dec.Token()
				if err != nil {
					return buf, err
				}
				buf = append(appendWord(buf, fmt.Sprint(key)), ": "...)
			}
			if buf, err = appendNext(buf, dec); err != nil {
				return buf, err
			}
		}
		end, err := dec.Token()
		return append(buf, fmt.Sprint(end)...), err
	case string:
		// Variables are not in it: what looks like one is text.
		return appendWord(buf, strings.ReplaceAll(t, "${", "$${")), nil
	case nil:
		return append(buf, "null"...), nil
	}
	return append(buf, fmt.Sprint(t)...), nil // a number or a boolean
}

var plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// appendWord appends a text, in quotes where YAML could take it for something
// else. Go's escapes are YAML's.
func appendWord(buf []byte, text string) []byte {
	if plainWord.MatchString(text) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(text)) {
		return append(buf, text...)
	}
	return strconv.AppendQuote(buf, text)
}
